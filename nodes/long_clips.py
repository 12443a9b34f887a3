"""The clips of one long video: what they share is encoded once, the rest when a clip's turn comes."""

from __future__ import annotations

import dataclasses

from einops import rearrange
from torch import Tensor

from ..unianimate_core.content_hash import content_hash, weights_hash
from . import pictures
from .conditioning import Clip, prepare_clip
from .host_model import CLIP_INPUTS


class LongClips:
    """Guidance of a long video, by frames.

    poses: b h w c, of all frames; guidance: the other arguments of conditioning.prepare_clip. Raises ValueError as
    that does, for any of the poses, before anything is sampled.
    """

    def __init__(self, model, vae, poses: Tensor, *, width: int, height: int, fit: str, **guidance):
        one_pose = poses if poses is None else poses[:1]
        self.shared = prepare_clip(model, vae, poses=one_pose, width=width, height=height, fit=fit, **guidance)
        self.poses = poses
        self.size = (width, height, fit)
        self.reference = guidance["reference_image"]
        self.vae_hash = weights_hash(vae.first_stage_model)

    @property
    def first_frame(self) -> Tensor | None:
        """The user's own picture for frame 0: 1 3 1 H W."""
        picture = self.shared.inputs.first_frame
        return None if picture is None else rearrange(picture, "1 c h w -> 1 c 1 h w")

    def clip(self, frames: range, first_frame: Tensor | None) -> Clip:
        """The clip of these frames. first_frame: 1 3 1 H W in 0..1, of the clip's size."""
        poses = self._poses(frames)
        picture = None if first_frame is None else rearrange(first_frame, "1 c 1 h w -> 1 c h w")
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

    def poses_hash(self, frames: range) -> str:
        """Of what guides the clip of these frames alone. Raises ValueError where a pose is no picture."""
        return content_hash(self._poses(frames))

    def _poses(self, frames: range) -> Tensor:
        return pictures.check_pictures("poses", self.poses[frames.start : frames.stop])


def model_hash(model) -> str:
    """Of a MODEL's weights, precision and everything that was put on it: LoRA, samplers' patches, context windows."""
    patches = (model.patches, model.object_patches, model.model_options, model.wrappers)
    return content_hash(model.model.weights_hash, model.model.get_dtype_inference(), weights_hash(*patches))
