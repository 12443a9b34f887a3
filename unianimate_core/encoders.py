"""OpenCLIP ViT-H/14 without a host: the image embedding and the text states of the empty prompt.

The released network was trained with the empty prompt only, so there is no tokenizer.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .checkpoint import CheckpointError, files
from .checkpoint.identify import identify
from .optional import LazyModule
from .storage.content_hash import weights_hash

open_clip = LazyModule("open_clip", "OpenCLIP", package="open_clip_torch", extra="clip")

CLIP_FILE = "open_clip_pytorch_model.bin"
CLIP_SOURCE = f"{CLIP_FILE} (3,944,692,325 bytes, huggingface.co/laion/CLIP-ViT-H-14-laion2B-s32B-b79K)"
CLIP_SIZE = 224
IMAGE_MEAN = (0.48145466, 0.4578275, 0.40821073)
IMAGE_STD = (0.26862954, 0.26130258, 0.27577711)


def resize_for_clip(image: Tensor, size: int = CLIP_SIZE) -> Tensor:
    """The image stretched to a square without a crop, and rounded to 8 bits as in an image file.

    image: b 3 H W in [0, 1]; result: b 3 size size, fp32. Bilinear with antialiasing, as the authors resize.
    """
    image = F.interpolate(image.float(), (size, size), mode="bilinear", align_corners=False, antialias=True)
    return image.mul(255).round().clamp(0, 255).div(255)


def normalize_for_clip(image: Tensor) -> Tensor:
    """Subtract the mean of OpenCLIP's training images and divide by their standard deviation.

    image: b 3 h w in [0, 1].
    """
    mean, std = (image.new_tensor(values)[:, None, None] for values in (IMAGE_MEAN, IMAGE_STD))
    return (image - mean) / std


class ClipEncoder:
    """The image encoder and the text encoder of one open_clip_pytorch_model.bin, or .safetensors with the same names.

    It reads the weights at first use, and keeps them until free() is called or a `with` block ends.
    device: where the weights are and the encoders compute. dtype: of the weights; by default that of the file.
    config: an open_clip model configuration; by default ViT-H/14.
    Raises FileNotFoundError, ImportError if open_clip_torch is missing, and at first use CheckpointError.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype | None = None,
        config: Mapping[str, Any] | None = None,
    ):
        self.path = Path(path)
        self.device = torch.device(device)
        self.dtype = dtype
        self._config = dict(config or open_clip.get_model_config("ViT-H-14"))
        self._model: nn.Module | None = None
        if not self.path.is_file():
            raise FileNotFoundError(f"there is no file {self.path}: download {CLIP_SOURCE}")

    def __enter__(self) -> ClipEncoder:
        return self

    def __exit__(self, *_: object) -> None:
        self.free()

    @torch.no_grad()
    def image(self, image: Tensor) -> Tensor:
        """The embedding of each image: projected, not normalized. fp32, on the encoder's device.

        image: b 3 H W in [0, 1], any size; result b 1 C.
        """
        if image.ndim != 4 or image.shape[1] != 3:
            raise ValueError(f"image has shape {tuple(image.shape)}: give RGB as (batch, 3, height, width)")
        model = self._loaded()
        pixels = normalize_for_clip(resize_for_clip(image.to(self.device), self._config["vision_cfg"]["image_size"]))
        return model.encode_image(pixels.to(_dtype_of(model))).float()[:, None]

    @torch.no_grad()
    def empty_text(self) -> Tensor:
        """The text states of the empty prompt: 1 77 C, fp32, from the second-last layer, then the final norm."""
        tokens = torch.zeros(1, self._config["text_cfg"]["context_length"], dtype=torch.long, device=self.device)
        start_of_text = self._config["text_cfg"]["vocab_size"] - 2
        tokens[0, :2] = torch.tensor([start_of_text, start_of_text + 1])
        return self._loaded().encode_text(tokens).float()

    @property
    def identity(self) -> str:
        """A hash of the weights."""
        return weights_hash(self._loaded().state_dict())

    def to(self, device: torch.device | str) -> ClipEncoder:
        """Move the weights if they are loaded, and load them there otherwise."""
        self.device = torch.device(device)
        if self._model is not None:
            self._model.to(self.device)
        return self

    def free(self) -> None:
        """Drop the weights. The next use reads them again."""
        self._model = None

    def _loaded(self) -> Any:
        if self._model is None:
            self._model = _load(self.path, self._config, self.device, self.dtype)
        return self._model


def _load(path: Path, config: Mapping[str, Any], device: torch.device, dtype: torch.dtype | None) -> nn.Module:
    with torch.device("meta"):
        model = open_clip.CLIP(**config)
    state_dict, _ = files.read(path)
    _check(path.name, state_dict, {name: tensor.shape for name, tensor in model.state_dict().items()})
    _stop_before_last_text_layer(model)
    weights = {name: state_dict[name].to(device, dtype) for name in model.state_dict()}
    model.load_state_dict(weights, assign=True)
    # The file does not store the causal mask: no token attends to later ones.
    length = config["text_cfg"]["context_length"]
    model.attn_mask = torch.full((length, length), float("-inf"), device=device, dtype=_dtype_of(model)).triu(1)
    return model.requires_grad_(False).eval()


def _stop_before_last_text_layer(model: Any) -> None:
    """Make encode_text return the state of every token before the last layer, after the final norm."""
    model.transformer.resblocks = model.transformer.resblocks[:-1]
    model.text_projection = None
    model.text_pool_type = "none"


def _dtype_of(model: nn.Module) -> torch.dtype:
    return next(model.parameters()).dtype


def _check(label: str, state_dict: Mapping[str, Tensor], expected: Mapping[str, torch.Size]) -> None:
    """Raises CheckpointError, which names the first difference, unless names and shapes are the expected ones."""
    difference = next(_differences(state_dict, expected), None)
    if difference is None:
        return
    kind = identify(state_dict)
    looks = f", it looks like {kind}" if kind else ""
    raise CheckpointError(f"{label} is not OpenCLIP ViT-H/14{looks} ({difference}): choose {CLIP_SOURCE}")


def _differences(state_dict: Mapping[str, Tensor], expected: Mapping[str, torch.Size]) -> Iterator[str]:
    for name, shape in expected.items():
        if name not in state_dict:
            yield f"{name} is absent"
        elif state_dict[name].shape != shape:
            yield f"{name} has shape {list(state_dict[name].shape)}, not {list(shape)}"
    yield from (f"{name} is one too many" for name in state_dict if name not in expected and name != "attn_mask")
