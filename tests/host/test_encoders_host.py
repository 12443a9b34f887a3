"""The encoders agree with ComfyUI's own loaders, on one file of made-up weights.

ComfyUI recognizes the file by its shapes, so it has the full size of ViT-H/14: 2 GB in half precision. The test takes
about 8 GB of memory.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.support import ROOT
from unianimate_core.encoders import ClipEncoder, resize_for_clip

pytestmark = pytest.mark.host


@pytest.fixture(scope="module")
def clip_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("clip") / "open_clip_pytorch_model.bin"
    torch.save(made_up_weights(), path)
    yield path
    path.unlink()


def made_up_weights() -> dict[str, torch.Tensor]:
    """Half-precision weights with OpenCLIP's names; every layer has an effect and nothing overflows."""
    open_clip = pytest.importorskip("open_clip")
    with torch.device("meta"):
        shapes = {
            name: w.shape for name, w in open_clip.CLIP(**open_clip.get_model_config("ViT-H-14")).state_dict().items()
        }
    generator = torch.Generator().manual_seed(0)
    weights = {}
    for name, shape in shapes.items():
        weight = torch.randn(shape, generator=generator)
        if len(shape) > 1:
            weight *= shape[1:].numel() ** -0.5
        else:
            weight = 0.1 * weight + (1 if name.endswith("weight") else 0)
        weights[name] = weight.half()
    return weights


@pytest.fixture(scope="module")
def image():
    """Smooth shapes in an upright image, like that of a person."""
    coarse = torch.rand(1, 3, 12, 8, generator=torch.Generator().manual_seed(1))
    return torch.nn.functional.interpolate(coarse, (768, 512), mode="bicubic").clamp(0, 1)


@pytest.fixture(scope="module")
def from_comfyui(clip_file, image, comfyui_path, tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    save_file({"image": image, "square": resize_for_clip(image)}, folder / "image.safetensors")
    script = Path(__file__).with_name("comfyui_encoders.py")
    command = [
        sys.executable,
        script,
        comfyui_path,
        ROOT,
        clip_file,
        folder / "image.safetensors",
        folder / "result.safetensors",
    ]
    run = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-4000:]
    return load_file(folder / "result.safetensors")


@pytest.mark.parametrize("path", ["comfyui", "nodes"])
def test_both_encoders_equal_comfyuis(clip_file, image, from_comfyui, path):
    """A workflow in ComfyUI and a run outside it must use the same embeddings: by its loaders and by our nodes.

    Both compute in fp32 from the same half-precision weights and differ in the order of sums: by 4e-6 of the states'
    deviation when this was written; ten times that is allowed.
    """
    with ClipEncoder(clip_file, dtype=torch.float32) as encoder:
        embedding, text = encoder.image(image), encoder.empty_text()
    assert text.shape == (1, 77, 1024)
    for ours, theirs in ((embedding[:, 0], from_comfyui[f"{path}_image"]), (text, from_comfyui[f"{path}_text"])):
        torch.testing.assert_close(ours, theirs, atol=4e-5 * float(theirs.std()), rtol=0)
