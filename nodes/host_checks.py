"""Checks of what reaches the model: latents, text and patches that it cannot use."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from torch import Tensor

from ..unianimate_core.config import ModelConfig

if TYPE_CHECKING:
    from .host_model import ClipInputs


def check_clip(inputs: ClipInputs, noise: Tensor) -> None:
    """Raises ValueError if the conditioning was made for another clip than the latents."""
    _check_dimensions(noise)
    frames, _, height, width = noise.shape
    if len(inputs.poses) != frames:
        raise ValueError(
            f"the conditioning has {len(inputs.poses)} poses, the latent {frames} frames: "
            "use the latent that UniAnimateConditioning gives"
        )
    if tuple(inputs.poses.shape[-2:]) != (8 * height, 8 * width):
        raise ValueError(
            f"the conditioning is for {inputs.poses.shape[-1]}x{inputs.poses.shape[-2]} pixels (width x height), "
            f"the latent for {8 * width}x{8 * height}: use the latent that UniAnimateConditioning gives"
        )


def check_rows(x: Tensor, pose: Tensor | None) -> None:
    """Raises ValueError if the latents are not one row a frame, or if poses and latents do not match."""
    _check_dimensions(x)
    if pose is not None and len(pose) != len(x):
        raise ValueError(f"{len(pose)} poses meet {len(x)} frames: set dim to 0 in Context Windows (Manual)")
    if pose is not None and pose.shape[-2:] != x.shape[-2:]:
        raise ValueError("the conditioning is cut to an area of the image: UniAnimate conditions whole images only")


def _check_dimensions(latent: Tensor) -> None:
    if latent.ndim != 4:
        dimensions = f"the latent has {latent.ndim} dimensions"
        raise ValueError(f"{dimensions}: use that of UniAnimateConditioning, one latent a frame")


_warned_of: set[str] = set()


def warn_of_unused_patches(transformer_options: dict) -> None:
    """Log once for each kind of patch that it has no effect, since it is made for Stable Diffusion's blocks."""
    kinds = {*transformer_options.get("patches", {}), *transformer_options.get("patches_replace", {})} - _warned_of
    if kinds:
        _warned_of.update(kinds)
        logging.warning(
            f"UniAnimate: patches of {', '.join(sorted(kinds))} are for other networks and change nothing here; "
            "remove the node that sets them"
        )


def check_text(text: Tensor | None, config: ModelConfig) -> Tensor:
    """The text states, unchanged. Raises ValueError if they come from another text encoder than the network's."""
    width = None if text is None else text.shape[-1]
    if text is None or width != config.context_dim:
        raise ValueError(
            f"the text conditioning has width {width}, this UniAnimate network takes {config.context_dim}: "
            "make it with UniAnimateConditioning and the CLIP of LoadUniAnimate"
        )
    return text
