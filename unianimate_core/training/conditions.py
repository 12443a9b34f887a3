"""The embedded conditions of a batch. A dropped condition (see data/dropping.py) contributes zeros.

Source: UniAnimate, section 3.2, training and inference.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from einops import rearrange
from torch import Tensor

from ..media.images import as_values
from ..model import Conditions, UNet


def embed_kept(unet: UNet, text: Tensor, given: Mapping[str, Tensor | None], kept: Mapping[str, Tensor]) -> Conditions:
    """The embedded conditions of a batch of clips, each with the conditions that it keeps.

    text: 1 n C. given: keywords of UNet.forward except the text. kept: b bool for each of DROPPABLE. Encodes only the
    clips that keep a condition, but at least one, so that every process has gradients of the same parameters.
    """
    encoder = unet.conditions
    pose = _encode_kept(encoder.pose, kept["pose"], given["pose"])
    first_frame = _encode_kept(encoder.first_frame, kept["first_frame"], given["first_frame"])
    tokens = _encode_kept(encoder.image_tokens, kept["image"], given["image"])
    reference = _encode_kept(encoder.reference, kept["reference"], given["reference_latent"])
    reference_pose = _encode_kept(
        encoder.reference_pose, kept["reference"] & kept["reference_pose"], given["reference_pose"]
    )
    if reference is not None and reference_pose is not None:
        reference = reference + reference_pose
    return Conditions(encoder.context(text, tokens), pose=pose, first_frame=first_frame, reference=reference)


def _encode_kept(encode: Callable[[Tensor], Tensor], kept: Tensor, value: Tensor | None) -> Tensor | None:
    """encode(value) of the clips in kept, and zeros for the others; None if there is no value."""
    if value is None:
        return None
    chosen = kept.nonzero().flatten()
    computed = chosen if len(chosen) else kept.new_zeros(1, dtype=torch.long)
    features = encode(value[computed])
    if not len(chosen):
        features = 0 * features
    if len(computed) == len(value):
        return features
    return features.new_zeros(len(value), *features.shape[1:]).index_copy(0, computed, features)


def as_network_sees(images: Tensor) -> Tensor:
    """uint8 b f H W 3 to b 3 f H W in [0, 1], in channels-last memory for each frame."""
    return rearrange(as_values(images), "b f h w c -> b c f h w")
