"""The clips of one long video: what they share is encoded once, the rest when a clip's turn comes."""

from __future__ import annotations

import dataclasses

from einops import rearrange

from ...unianimate_core.long_video.seams import Handover
from ...unianimate_core.storage.content_hash import content_hash, weights_hash
from ..conditioning import Clip, prepare_clip
from ..host_model import CLIP_INPUTS
from .poses import FittedPoses, LongPoses


class LongClips:
    """Guidance of a long video, by frames.

    guidance: the other arguments of conditioning.prepare_clip. Raises ValueError as that does, before anything is
    sampled; poses that are no images are found when the clips are hashed.
    """

    def __init__(self, model, vae, poses: LongPoses, *, width: int, height: int, fit: str, **guidance):
        one_pose = poses.images(range(1))
        self.shared = prepare_clip(model, vae, poses=one_pose, width=width, height=height, fit=fit, **guidance)
        self.poses = poses
        self.size = (width, height, fit)
        self.reference = guidance["reference_image"]
        encoders = (guidance.get("clip"), guidance.get("clip_vision"))
        self.encoders_hash = content_hash(weights_hash(vae.first_stage_model), *map(encoder_hash, encoders))

    @property
    def beginning(self) -> Handover | None:
        """The user's own image for frame 0."""
        image = self.shared.inputs.first_frame
        return None if image is None else Handover(rearrange(image, "1 c h w -> 1 c 1 h w"))

    def clip(self, frames: range, handover: Handover | None) -> Clip:
        """The clip of these frames, which begins with the image handed over."""
        image = None if handover is None else rearrange(handover.image, "1 c 1 h w -> 1 c h w")
        poses = FittedPoses(self.poses, frames, *self.size)
        inputs = dataclasses.replace(self.shared.inputs, poses=poses, first_frame=image)
        ((text, _),) = self.shared.negative
        _, height, width = self.shared.latent_size
        return Clip(inputs, [[text, {CLIP_INPUTS: inputs}]], self.shared.negative, (len(frames), height, width))

    def shared_hash(self) -> str:
        """Of what guides all clips alike: of what is encoded and by what, since where it is encoded changes digits."""
        inputs = self.shared.inputs
        given = (self.reference, inputs.reference_pose, inputs.first_frame, inputs.pose_range)
        return content_hash(self.size, self.encoders_hash, *given)


def encoder_hash(encoder) -> str | None:
    """Of the weights of a CLIP or CLIP_VISION, and what patches them."""
    if encoder is None:
        return None
    return weights_hash(encoder.patcher.model, encoder.patcher.patches)


def model_hash(model) -> str:
    """Of a MODEL's weights, precision and everything that was put on it: LoRA, samplers' patches, context windows."""
    changes = (
        model.patches,
        model.object_patches,
        model.model_options,
        model.wrappers,
        model.weight_wrapper_patches,
        model.hook_patches,
        model.injections,
        model.additional_models,
    )
    # While LoRA weights are patched in, the network itself differs from the checkpoint, and a compiled one shows it.
    patches = weights_hash(*changes, known=model.model)
    return content_hash(model.model.weights_hash, model.model.get_dtype_inference(), patches)
