"""Long video by windows gives what the authors' implementation gave."""

from __future__ import annotations

import pytest
from safetensors.torch import load_file

from tests.support import recorded as made_up
from tests.support.recorded import REFERENCE_AND_POSE, conditions, difference, latents, text
from unianimate_core.diffusion import Denoiser, guided
from unianimate_core.long_video.windows import sample_windows

RECORDED = load_file(made_up.DATA / "sampling_tiny.safetensors")


@pytest.mark.parametrize(
    ("name", "prefix", "frames", "windows"),
    [
        ("windows8_overlap2_ddim10_cfg2.5", "long.", 20, [(0, 7), (6, 13), (12, 19)]),
        ("windows8_overlap2_21frames", "long21.", 21, [(0, 7), (6, 13), (12, 19), (13, 20)]),
    ],
)
def test_a_whole_run_is_the_authors(name, prefix, frames, windows):
    """Ten guided steps over all frames; with 21 of them, the last window is moved back over the one before."""
    given = conditions(REFERENCE_AND_POSE, prefix, frames)
    embedded = []

    def denoiser_for_window(window: list[int]) -> Denoiser:
        embedded.append((window[0], window[-1]))
        return guided(made_up.tiny_unet(), {**given, "pose": given["pose"][:, :, window]}, text(), 2.5)

    noise = latents(prefix + "noise", frames)
    result = sample_windows(denoiser_for_window, noise, 10, window=8, overlap=2, ending="upstream")
    error = difference(result, RECORDED[name])
    assert error < 1e-4
    assert embedded == windows, "conditions are embedded once a window, never once a step"
