"""Checks of sizes. Every check raises ValueError if sizes do not match."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from ..config import LATENT_CHANNELS, ModelConfig
from .conditions import Conditions

# A number is an exact size, a letter any size. C is the width of the context.
_FORMS = {
    "text": "b n C",
    "image": "b 1 C",
    "pose": "b 3 f H W",
    "reference_pose": "b 3 1 H W",
    "reference_latent": "b 4 1 h w",
    "first_frame": "b 3 1 H W",
}


def check_conditions(config: ModelConfig, conditions: Mapping[str, Tensor | None]) -> None:
    """Checks the conditions by themselves. Names and shapes as in UNet.forward."""
    given = {name: value for name in _FORMS if (value := conditions.get(name)) is not None}
    for name, value in given.items():
        axes = _FORMS[name].replace("C", str(config.context_dim)).split()
        if not _fits(value, axes):
            raise ValueError(f"{name} has shape {list(value.shape)}: give {' '.join(axes)}")
        if axes[-2:] == ["H", "W"]:
            _check_multiple(name, value, 8 * config.latent_multiple, "pixels")
    batches = {len(value) for value in given.values()} - {1}
    if len(batches) > 1:
        raise ValueError(f"the conditions are batches of {sorted(batches)}: give 1 or the same of each")


def _fits(value: Tensor, axes: Sequence[str]) -> bool:
    return value.ndim == len(axes) and all(
        size == int(axis) if axis.isdigit() else size > 0 for size, axis in zip(value.shape, axes, strict=True)
    )


def _check_multiple(name: str, value: Tensor, multiple: int, unit: str) -> None:
    height, width = value.shape[-2:]
    if height % multiple or width % multiple:
        raise ValueError(f"{name} is {width}x{height} {unit} (width x height): give multiples of {multiple}")


def check_clip(config: ModelConfig, x: Tensor, conditions: Conditions) -> None:
    """Checks the latents x, and that the conditions were embedded for a clip of their size."""
    if not _fits(x, ["b", str(LATENT_CHANNELS), "f", "h", "w"]):
        raise ValueError(f"x has shape {list(x.shape)}: give latents, b {LATENT_CHANNELS} f h w")
    _check_multiple("x", x, config.latent_multiple, "in latent units, an eighth of the pixels")
    batch, frames, height, width = len(x), *x.shape[2:]
    for name in ("pose", "first_frame", "reference"):
        features: Tensor | None = getattr(conditions, name)
        if features is None:
            continue
        if features.shape[-2:] != x.shape[-2:]:
            raise ValueError(
                f"{name} is {8 * features.shape[-1]}x{8 * features.shape[-2]} pixels (width x height), the clip "
                f"{8 * width}x{8 * height}: give both the same size"
            )
        wanted = frames if name == "pose" else 1
        if features.shape[2] != wanted:
            raise ValueError(f"{name} has {features.shape[2]} frames, the clip has {frames}: give {wanted} of {name}")
        if len(features) not in (1, batch):
            raise ValueError(f"{name} is a batch of {len(features)}, x of {batch}: give 1 or {batch}")
    if len(conditions.context) not in (1, batch):
        raise ValueError(f"text and image are a batch of {len(conditions.context)}, x of {batch}: give 1 or {batch}")
