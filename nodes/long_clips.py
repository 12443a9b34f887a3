"""The clips of one long video: what they share is encoded once, the rest when a clip's turn comes."""

from __future__ import annotations

import dataclasses

from einops import rearrange

from ..unianimate_core.content_hash import content_hash, weights_hash
from ..unianimate_core.seams import Handover
from . import pictures
from .conditioning import Clip, prepare_clip
from .host_model import CLIP_INPUTS
from .long_poses import LongPoses


class LongClips:
    """Guidance of a long video, by frames.

    guidance: the other arguments of conditioning.prepare_clip. Raises ValueError as that does, before anything is
    sampled; poses that are no pictures are found when the clips are hashed.
    """

    def __init__(self, model, vae, poses: LongPoses, *, width: int, height: int, fit: str, **guidance):
        one_pose = poses.pictures(range(1))
        self.shared = prepare_clip(model, vae, poses=one_pose, width=width, height=height, fit=fit, **guidance)
        self.poses = poses
        self.size = (width, height, fit)
        self.reference = guidance["reference_image"]
        self.vae_hash = weights_hash(vae.first_stage_model)

    @property
    def beginning(self) -> Handover | None:
        """The user's own picture for frame 0."""
        picture = self.shared.inputs.first_frame
        return None if picture is None else Handover(rearrange(picture, "1 c h w -> 1 c 1 h w"))

    def clip(self, frames: range, handover: Handover | None) -> Clip:
        """The clip of these frames, which begins with the picture handed over."""
        poses = self.poses.pictures(frames)
        picture = None if handover is None else rearrange(handover.picture, "1 c 1 h w -> 1 c h w")
        inputs = dataclasses.replace(
            self.shared.inputs, poses=pictures.fit_pictures(poses, *self.size), first_frame=picture
        )
        ((text, _),) = self.shared.negative
        _, height, width = self.shared.latent_size
        return Clip(inputs, [[text, {CLIP_INPUTS: inputs}]], self.shared.negative, (len(frames), height, width))

    def shared_hash(self) -> str:
        """Of what guides all clips alike."""
        ((text, _),) = self.shared.negative
        inputs = self.shared.inputs
        encoded = (text, inputs.image, inputs.reference_pose, inputs.first_frame, inputs.pose_range)
        return content_hash(self.size, self.vae_hash, self.reference, *encoded)


def model_hash(model) -> str:
    """Of a MODEL's weights, precision and everything that was put on it: LoRA, samplers' patches, context windows."""
    patches = (model.patches, model.object_patches, model.model_options, model.wrappers)
    return content_hash(model.model.weights_hash, model.model.get_dtype_inference(), weights_hash(*patches))
