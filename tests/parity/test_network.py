"""The network computes what the authors' implementation computes, in fp32 and at reduced precision."""

from __future__ import annotations

import os
from functools import cache

import pytest
import torch
from safetensors.torch import load_file

from tests.support import recorded as made_up
from tests.support.recorded import EVERYTHING, REFERENCE_AND_POSE, conditions, difference, latents, text
from unianimate_core.checkpoint import load_unet
from unianimate_core.model import UNet

TIMESTEP = torch.tensor([941])
CASES = {
    "reference_and_pose": REFERENCE_AND_POSE,
    "first_frame_reference_and_pose": EVERYTHING,
    "first_frame_and_pose": ("image", "pose", "first_frame"),
    "unconditional": (),
}


@torch.no_grad()
def predict(unet: UNet, case: str) -> torch.Tensor:
    return unet(latents(), TIMESTEP, text=text(), **conditions(CASES[case]))


@cache
def fp32_prediction(case: str) -> torch.Tensor:
    return predict(made_up.tiny_unet(), case)


@pytest.mark.parametrize("case", CASES)
def test_one_pass_equals_the_authors(case):
    """A wrong eps in a norm, padding or order of features shows here and nowhere else. Correct code reaches 4e-6."""
    recorded = load_file(made_up.DATA / "unet_tiny.safetensors")[f"t941.{case}"]
    error = difference(fp32_prediction(case), recorded)
    assert error < 1e-5


# Half of the difference comes from rounding the weights, half from rounding what each layer puts out: relative errors
# of 2^-12 (fp16, 11 bits of mantissa) and 2^-9 (bf16, 8 bits) that are independent and add up over some 300 layers
# like a random walk, to 20 of them: 5e-3 and 4e-2, as measured. The bound is twice that. A norm that sums in half
# precision, or a layer that overflows, misses it by far.
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float16, 1e-2), (torch.bfloat16, 8e-2)])
@pytest.mark.parametrize("case", ["first_frame_reference_and_pose", "unconditional"])
def test_half_precision_stays_close_to_fp32(case, dtype, tolerance):
    """Users run half precision; only the rounding may differ."""
    unet = load_unet(made_up.tiny_weights(), config=made_up.tiny_config(), dtype=dtype)
    result = predict(unet, case)
    assert result.dtype == torch.float32, "v comes back in the precision of the latents"
    error = difference(result, fp32_prediction(case))
    assert error < tolerance


def two_clips() -> tuple[torch.Tensor, torch.Tensor, list[dict[str, torch.Tensor]]]:
    x = torch.cat([latents("x"), latents("other.x")])
    return x, torch.tensor([941, 21]), [conditions(EVERYTHING, prefix) for prefix in ("", "other.")]


@torch.no_grad()
def test_a_batch_equals_single_runs():
    """Two clips at different timesteps must not mix, in normalizations over frames least of all."""
    unet = made_up.tiny_unet()
    x, t, clips = two_clips()
    both = {name: torch.cat([clip[name] for clip in clips]) for name in EVERYTHING}
    together = unet(x, t, text=text(), **both)
    single = [unet(x[i : i + 1], t[i : i + 1], text=text(), **clips[i]) for i in range(2)]
    error = difference(together, torch.cat(single))
    assert error < 1e-5


@torch.no_grad()
def test_conditions_of_batch_one_serve_the_whole_batch():
    """One reference for several seeds need not be repeated."""
    unet = made_up.tiny_unet()
    x, t, clips = two_clips()
    repeated = {name: torch.cat([value, value]) for name, value in clips[0].items()}
    error = difference(unet(x, t, text=text(), **clips[0]), unet(x, t, text=text(), **repeated))
    assert error < 1e-5


@pytest.mark.slow
@torch.no_grad()
def test_one_step_is_one_graph():
    """torch.compile gains most where nothing breaks the graph; another timestep or strength must not compile again."""
    unet = made_up.tiny_unet()
    embedded = unet.embed(text=text(), **conditions(EVERYTHING))
    traced = torch.compile(unet.denoise, backend="eager", fullgraph=True)
    expected = unet.denoise(latents(), torch.tensor([941]), embedded)
    error = difference(traced(latents(), torch.tensor([941]), embedded), expected)
    assert error < 1e-5
    with torch.compiler.set_stance("fail_on_recompile"):
        traced(latents(), torch.tensor([21]), embedded)


@pytest.mark.skipif("UNIANIMATE_TEST_COMPILE" not in os.environ, reason="set UNIANIMATE_TEST_COMPILE: takes minutes")
@torch.no_grad()
def test_compiled_equals_eager():
    unet = made_up.tiny_unet()
    embedded = unet.embed(text=text(), **conditions(EVERYTHING))
    compiled = torch.compile(unet.denoise, fullgraph=True)(latents(), TIMESTEP, embedded)
    error = difference(compiled, unet.denoise(latents(), TIMESTEP, embedded))
    assert error < 1e-5
