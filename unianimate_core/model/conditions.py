"""The conditions of the network: poses, first frame, reference image, reference pose, image embedding and text.

They do not depend on the noise, so they are embedded once a clip and used at every step.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from ..config import LATENT_CHANNELS, POSE_FEATURES, REFERENCE_FEATURES, ModelConfig
from .backend import MAX_SEQUENCES, Backend, first_image_layer, silu_

HIDDEN = 32
FirstLayer = Callable[[Tensor, nn.Conv2d], Tensor]


@dataclass(frozen=True)
class PoseRange:
    """How strongly the driving poses guide, and over which share of the run. 0 is the noisy start, 1 the end."""

    strength: float = 1.0
    start: float = 0.0
    end: float = 1.0

    def __post_init__(self):
        if not math.isfinite(self.strength):
            raise ValueError(f"pose strength is {self.strength}: give a finite number, 1 for the trained strength")
        if not 0 <= self.start <= self.end <= 1:
            raise ValueError(f"poses guide from {self.start} to {self.end}: give 0 <= start <= end <= 1")

    def weight(self, t: Tensor) -> Tensor:
        """The strength at timesteps t, and 0 outside the range. t: b, in 0..999; result: b."""
        progress = 1 - t.float() / 999
        return self.strength * ((progress >= self.start) & (progress <= self.end))


@dataclass(frozen=True)
class Conditions:
    """The embedded conditions of one clip. h w is the size of the latent.

    context: b m context_dim, the text states followed by the image tokens. The network computes in its precision.
    pose: b 8 f h w; first_frame: b 8 1 h w; reference: b 12 1 h w (f_ref of the paper). None stands for zeros.
    """

    context: Tensor
    pose: Tensor | None = None
    first_frame: Tensor | None = None
    reference: Tensor | None = None
    pose_range: PoseRange = PoseRange()


class FrameMixer(nn.Module):
    """One transformer layer over the frames at each place. Its feed-forward has no norm."""

    HEADS = 2

    def __init__(self, features: int, backend: Backend):
        super().__init__()
        self.backend = backend
        self.norm = backend.layer_norm(features)
        self.qkv = backend.linear(features, 3 * self.HEADS * features, bias=False)
        self.out = backend.linear(self.HEADS * features, features)
        self.widen = backend.linear(features, 4 * features)
        self.narrow = backend.linear(4 * features, features)

    def forward(self, x: Tensor) -> Tensor:
        """x and result: b c f h w."""
        sequences = rearrange(x, "b c f h w -> (b h w) f c")
        row = 3 * self.HEADS * sequences[0].numel() * x.element_size()
        mixed = self.backend.in_pieces(self._mix, sequences, row, most=MAX_SEQUENCES // self.HEADS)
        return rearrange(mixed, "(b h w) f c -> b c f h w", h=x.shape[3], w=x.shape[4])

    def _mix(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(self.norm(x)).chunk(3, dim=-1)
        x = x + self.out(self.backend.frame_attention(q, k, v, self.HEADS))
        return x + self.narrow(F.gelu(self.widen(x)))


class ImageEncoder(nn.Module):
    """The pose encoder: three convolutions of each image to an eighth of its size, then the mixer over the frames.

    The first frame goes through an encoder of the same form.
    """

    def __init__(self, features: int, backend: Backend, first_layer: FirstLayer = first_image_layer):
        super().__init__()
        self.backend = backend
        self.first_layer = first_layer
        self.conv1 = backend.conv(3, HIDDEN)
        self.conv2 = backend.conv(HIDDEN, HIDDEN, stride=2)
        self.conv3 = backend.conv(HIDDEN, features, stride=2)
        self.mixer = FrameMixer(features, backend)

    def forward(self, images: Tensor) -> Tensor:
        """images: b 3 f H W in [0, 1]; result: b features f h w."""
        return self.mixer(self.features(images))

    def features(self, images: Tensor) -> Tensor:
        """The features of each image alone, before the mixer. Shapes as in forward."""
        frames = rearrange(images, "b c f h w -> (b f) c h w")  # convolutions take frames as batch
        row = HIDDEN * frames[0, 0].numel() * frames.element_size()
        features = self.backend.in_pieces(self._convolve, frames, row)
        return rearrange(features, "(b f) c h w -> b c f h w", b=len(images))

    def _convolve(self, x: Tensor) -> Tensor:
        x = self.first_layer(x, self.conv1)
        x = silu_(self.conv2(x))
        return self.conv3(x)


class LatentEncoder(nn.Module):
    """Encodes the reference latent to features of the same size."""

    def __init__(self, features: int, backend: Backend):
        super().__init__()
        self.conv1 = backend.conv(LATENT_CHANNELS, HIDDEN)
        self.conv2 = backend.conv(HIDDEN, HIDDEN)
        self.conv3 = backend.conv(HIDDEN, features)
        self.mixer = FrameMixer(features, backend)

    def forward(self, latent: Tensor) -> Tensor:
        """latent: b 4 1 h w; result: b features 1 h w."""
        x = silu_(self.conv1(rearrange(latent, "b c 1 h w -> b c h w")))  # one frame: an image
        x = self.conv3(silu_(self.conv2(x)))
        return self.mixer(rearrange(x, "b c h w -> b c 1 h w"))


class ImageTokens(nn.Module):
    """Turns an image embedding into tokens of the context."""

    def __init__(self, context_dim: int, tokens: int, backend: Backend):
        super().__init__()
        self.tokens = tokens
        self.linear1 = backend.linear(context_dim, context_dim)
        self.linear2 = backend.linear(context_dim, tokens * context_dim)

    def forward(self, image: Tensor) -> Tensor:
        """image: b 1 C; result: b tokens C."""
        x = self.linear2(F.silu(self.linear1(image)))
        return rearrange(x, "b 1 (tokens c) -> b tokens c", tokens=self.tokens)


class ConditionEncoder(nn.Module):
    """Embeds all conditions."""

    def __init__(self, config: ModelConfig, backend: Backend):
        super().__init__()
        self.pose = ImageEncoder(POSE_FEATURES, backend, backend.first_pose_layer)
        self.first_frame = ImageEncoder(POSE_FEATURES, backend)
        self.reference = LatentEncoder(REFERENCE_FEATURES, backend)
        self.reference_pose = ImageEncoder(REFERENCE_FEATURES, backend, backend.first_pose_layer)
        self.image_tokens = ImageTokens(config.context_dim, config.image_tokens, backend)

    def forward(
        self,
        *,
        text: Tensor,
        image: Tensor | None = None,
        pose: Tensor | None = None,
        reference_pose: Tensor | None = None,
        reference_latent: Tensor | None = None,
        first_frame: Tensor | None = None,
    ) -> Conditions:
        """Shapes as in UNet.forward. Ignores a reference pose without a reference latent."""
        return Conditions(
            context=self.context(text, None if image is None else self.image_tokens(image)),
            pose=None if pose is None else self.pose(pose),
            # One frame is enough: attention over f copies of it gives each copy the value of one.
            first_frame=None if first_frame is None else self.first_frame(first_frame),
            reference=None if reference_latent is None else self.reference_features(reference_latent, reference_pose),
        )

    def reference_features(self, latent: Tensor, pose: Tensor | None) -> Tensor:
        """f_ref of the paper: the features of the latent plus those of the reference pose.

        latent: b 4 1 h w; pose: b 3 1 H W or None; result: b 12 1 h w.
        """
        features = self.reference(latent)
        if pose is None:
            return features
        if pose.shape[-2:] != (8 * latent.shape[-2], 8 * latent.shape[-1]):
            raise ValueError(
                f"reference_pose is {pose.shape[-1]}x{pose.shape[-2]} pixels (width x height), the reference "
                f"{8 * latent.shape[-1]}x{8 * latent.shape[-2]}: give both the same size"
            )
        return features + self.reference_pose(pose)

    def context(self, text: Tensor, tokens: Tensor | None) -> Tensor:
        """The text states followed by the image tokens. tokens: zeros if None. Result: b m C."""
        if tokens is None:
            tokens = text.new_zeros(len(text), self.image_tokens.tokens, text.shape[-1])
        batch = max(len(text), len(tokens))
        return torch.cat([text.expand(batch, -1, -1), tokens.expand(batch, -1, -1)], dim=1)
