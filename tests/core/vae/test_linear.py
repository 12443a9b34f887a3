"""The stand-in for the VAE."""

from __future__ import annotations

import torch

from unianimate_core.vae import linear as linear_vae


def test_what_was_encoded_decodes_to_its_mean_colors():
    """The inverse is exact, because four numbers are more than three."""
    images = torch.rand(2, 3, 3, 16, 24, generator=torch.Generator().manual_seed(0))
    small = linear_vae.decode(linear_vae.encode(images))
    assert small.shape == (2, 3, 3, 2, 3)
    torch.testing.assert_close(small[1, :, 2, 1, 2], images[1, :, 2, 8:, 16:].mean(dim=(1, 2)), atol=1e-5, rtol=0)


def test_decoded_images_stay_in_range():
    """Noise decodes too, and must be an image."""
    small = linear_vae.decode(5 * torch.randn(1, 4, 2, 8, 8, generator=torch.Generator().manual_seed(0)))
    assert small.min() == 0
    assert small.max() == 1
