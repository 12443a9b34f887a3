"""Made-up files for host tests: the tiny network, a small VAE, images and a video."""

from __future__ import annotations

import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import torch
from safetensors.torch import save_file

from tests.support import DATA
from tests.support.mamba import mamba_weights
from tests.support.pose_networks import write_detector, write_keypoint_network
from tests.support.recorded import tensor, weights

CHECKPOINT, MAMBA, VAE = "tiny.safetensors", "tiny_mamba.safetensors", "small_vae.safetensors"
REFERENCE, REFERENCE_POSE, POSES = "reference.png", "reference_pose.png", "poses.mp4"
WIDTH, HEIGHT, FRAMES, FPS = 128, 192, 6, 12


def tiny_checkpoint() -> dict[str, torch.Tensor]:
    return weights(json.loads((DATA / "tiny_keys.json").read_text())["keys"])


def write_files(comfyui: Path, base: Path) -> None:
    """Everything that the workflows need, with the names that `fit_workflow` uses."""
    models, inputs = base / "models", base / "input"
    for folder in (models / "unianimate", models / "vae", models / "loras", models / "dwpose", inputs):
        folder.mkdir(parents=True)
    for name, tensors in ((CHECKPOINT, tiny_checkpoint()), (MAMBA, mamba_weights())):
        save_file(tensors, models / "unianimate" / name, metadata={"unianimate": json.dumps({"head_dim": 16})})
    write_detector(models / "dwpose" / "yolox_l.onnx")
    write_keypoint_network(models / "dwpose" / "dw-ll_ucoco_384.onnx")
    save_file(small_vae(comfyui), models / "vae" / VAE)
    write_image(inputs / REFERENCE, image("reference", 1)[0])
    write_image(inputs / REFERENCE_POSE, image("reference_pose", 1)[0])
    write_video(inputs / POSES, image("poses", FRAMES))


def small_vae(comfyui: Path) -> dict[str, torch.Tensor]:
    """Made-up weights of the smallest VAE that ComfyUI loads (TAESD's form); ComfyUI gives the shapes."""
    code = (
        "import sys, json; sys.argv = ['x']; sys.path.insert(0, '.'); import comfy.cli_args; "
        "comfy.cli_args.args.cpu = True; from comfy.taesd.taesd import TAESD; "
        "print(json.dumps({name: list(w.shape) for name, w in TAESD(latent_channels=4).state_dict().items()}))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=comfyui, capture_output=True, text=True, check=True)
    shapes = json.loads(done.stdout.strip().splitlines()[-1])
    made_up = weights(shapes)
    return made_up | {name: torch.full(shape, 1.0) for name, shape in shapes.items() if name.startswith("vae_")}


def image(name: str, count: int, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """Smooth made-up colors: count h w 3, 8 bits."""
    coarse = torch.sigmoid(tensor(name, (count, 3, 6, 4)))
    smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic").clamp(0, 1)
    return (255 * smooth).round().byte().movedim(1, -1).numpy()


def write_image(path: Path, pixels: np.ndarray) -> None:
    from PIL import Image

    Image.fromarray(pixels).save(path)


def write_video(path: Path, frames: np.ndarray) -> None:
    """Lossless, so that later frames of a video do not change earlier ones."""
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(FPS), options={"qp": "0"})
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], "yuv420p"
        for pixels in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())


def read_video(path: Path) -> np.ndarray:
    with av.open(path) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
