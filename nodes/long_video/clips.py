"""The segments of one long video: what they share is encoded once, the rest when a segment's turn comes."""

from __future__ import annotations

import dataclasses

from einops import rearrange

from ...unianimate_core.guidance import Guidance
from ...unianimate_core.long_video.seams import Handover
from ...unianimate_core.storage.content_hash import content_hash, weights_hash
from ..conditioning import Clip, Encoders, prepare_clip
from ..host_model import CLIP_INPUTS


class LongClips:
    """The clips of a long video, by frames. Raises ValueError as prepare_clip does."""

    def __init__(self, model, encoders: Encoders, guidance: Guidance, node_id: str | None = None):
        self.guidance = guidance
        self.encoders = encoders
        self.shared = prepare_clip(model, encoders, guidance, node_id)

    @property
    def beginning(self) -> Handover | None:
        """The user's own image for frame 0."""
        image = self.shared.inputs.first_frame
        return None if image is None else Handover(rearrange(image, "1 c h w -> 1 c 1 h w"))

    def clip(self, frames: range, handover: Handover | None) -> Clip:
        """The clip of these frames, which begins with the image that is handed over."""
        image = None if handover is None else rearrange(handover.image, "1 c 1 h w -> 1 c h w")
        inputs = dataclasses.replace(self.shared.inputs, poses=self.guidance.fitted_poses(frames), first_frame=image)
        ((text, _),) = self.shared.negative
        _, height, width = self.shared.latent_size
        return Clip(inputs, [[text, {CLIP_INPUTS: inputs}]], self.shared.negative, (len(frames), height, width))

    def shared_hash(self) -> str:
        """Of what guides all segments: of what is encoded and by what, since digits depend on where it is encoded."""
        guidance, inputs = self.guidance, self.shared.inputs
        models = (self.encoders.clip, self.encoders.clip_vision)
        encoders = content_hash(weights_hash(self.encoders.vae.first_stage_model), *map(encoder_hash, models))
        given = (guidance.reference_image, inputs.reference_pose, inputs.first_frame, inputs.pose_range)
        return content_hash((guidance.width, guidance.height, guidance.fit), encoders, *given)


def encoder_hash(encoder) -> str | None:
    """Of the weights of a CLIP or CLIP_VISION and of their patches."""
    if encoder is None:
        return None
    return weights_hash(encoder.patcher.model, encoder.patcher.patches)


def model_hash(model) -> str:
    """Of a MODEL's weights, precision and everything on it: LoRAs, samplers' patches, context windows."""
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
    # The network itself may differ from the checkpoint at the moment: LoRAs may be patched in, or it may be compiled.
    patches = weights_hash(*changes, ignored=model.model)
    return content_hash(model.model.weights_hash, model.model.get_dtype_inference(), patches)
