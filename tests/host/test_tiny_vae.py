"""ComfyUI's own VAE nodes with the VAE that ships with the pack."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from tests.host.made_up import write_image
from unianimate_core import mini
from unianimate_core.diffusion import LATENT_SCALE
from unianimate_core.drawn_world.characters import draw_clip
from unianimate_core.training.vae.quality import psnr
from unianimate_core.vae.tiny import load_tiny_vae

pytestmark = pytest.mark.host

GRAPH = {
    "vae": {"class_type": "VAELoader", "inputs": {"vae_name": mini.VAE.name}},
    "image": {"class_type": "LoadImage", "inputs": {"image": "drawn.png"}},
    "encode": {"class_type": "VAEEncode", "inputs": {"pixels": ["image", 0], "vae": ["vae", 0]}},
    "decode": {"class_type": "VAEDecode", "inputs": {"samples": ["encode", 0], "vae": ["vae", 0]}},
    "latent": {"class_type": "SaveLatent", "inputs": {"samples": ["encode", 0], "filename_prefix": "drawn"}},
    "result": {"class_type": "SaveImage", "inputs": {"images": ["decode", 0], "filename_prefix": "drawn"}},
}


def test_comfyui_gives_a_drawn_frame_back_as_our_own_code_does(host):
    """The same latents (divided by 0.18215, as everywhere outside ComfyUI's samplers) and the same image."""
    frame = draw_clip(11, 1, 192, 128, split="test").frames[0]
    write_image(host.base / "input" / "drawn.png", frame)
    run = host.run(GRAPH)
    assert run.error is None

    vae = load_tiny_vae(mini.VAE)
    image = torch.from_numpy(frame).movedim(-1, 0).float()[None] / 255
    latent = vae.encode(image.unsqueeze(2))
    stored = load_file(host.output(run, "latent"))["latent_tensor"]
    torch.testing.assert_close(stored * LATENT_SCALE, latent.squeeze(2), atol=2e-3, rtol=2e-3)

    theirs = (
        torch.from_numpy(np.array(Image.open(host.output(run, "result")).convert("RGB"))).movedim(-1, 0)[None] / 255
    )
    ours = (255 * vae.decode(latent).squeeze(2)).floor() / 255  # SaveImage truncates
    assert abs(psnr(image, theirs)[0] - psnr(image, ours)[0]) < 0.01
    assert psnr(ours, theirs)[0] > 55
