"""What guides the network: pose images, first frame, reference image and its pose, image embedding, text.

None of it depends on the noise, so it is embedded once a clip and used at every step.
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
    """How strongly the driving poses guide, and over which share of the run: 0 is its noisy start, 1 its end."""

    strength: float = 1.0
    start: float = 0.0
    end: float = 1.0

    def __post_init__(self):
        if not math.isfinite(self.strength):
            raise ValueError(f"pose strength is {self.strength}: give a finite number, 1 for the trained strength")
        if not 0 <= self.start <= self.end <= 1:
            raise ValueError(f"poses guide from {self.start} to {self.end}: give 0 <= start <= end <= 1")

    def weight(self, t: Tensor) -> Tensor:
        """The strength at timesteps t (b, in 0..999), 0 outside the range."""
        progress = 1 - t.float() / 999
        return self.strength * ((progress >= self.start) & (progress <= self.end))


@dataclass(frozen=True)
class Conditions:
    """The embedded conditions of one clip; h w is the size of the latent.

    context: b m context_dim, the text states followed by the image tokens. The network computes in its precision.
    pose: b 8 f h w or None; first_frame: b 8 1 h w or None; reference: b 12 1 h w or None. None contributes zeros.
    """

    context: Tensor
    pose: Tensor | None = None
    first_frame: Tensor | None = None
    reference: Tensor | None = None
    pose_range: PoseRange = PoseRange()


class FrameMixer(nn.Module):
    """One transformer layer across frames, at each place, on few features; the feed-forward has no norm of its own."""

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
        """x: b c f h w."""
        sequences = rearrange(x, "b c f h w -> (b h w) f c")
        row = 3 * self.HEADS * sequences[0].numel() * x.element_size()
        mixed = self.backend.in_pieces(self._mix, sequences, row, most=MAX_SEQUENCES // self.HEADS)
        return rearrange(mixed, "(b h w) f c -> b c f h w", h=x.shape[3], w=x.shape[4])

    def _mix(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(self.norm(x)).chunk(3, dim=-1)
        x = x + self.out(self.backend.frame_attention(q, k, v, self.HEADS))
        return x + self.narrow(F.gelu(self.widen(x)))


class ImageEncoder(nn.Module):
    """Images to features of an eighth of their size: three convolutions of each, then the mixer across frames."""

    def __init__(self, features: int, backend: Backend, first_layer: FirstLayer = first_image_layer):
        super().__init__()
        self.backend = backend
        self.first_layer = first_layer
        self.conv1 = backend.conv(3, HIDDEN)
        self.conv2 = backend.conv(HIDDEN, HIDDEN, stride=2)
        self.conv3 = backend.conv(HIDDEN, features, stride=2)
        self.mixer = FrameMixer(features, backend)

    def forward(self, images: Tensor) -> Tensor:
        """images: b 3 f H W in [0, 1]; result b features f h w."""
        return self.mixer(self.features(images))

    def features(self, images: Tensor) -> Tensor:
        """What can be known of each image alone: the result before the frames are mixed."""
        frames = rearrange(images, "b c f h w -> (b f) c h w")
        row = HIDDEN * frames[0, 0].numel() * frames.element_size()
        features = self.backend.in_pieces(self._convolve, frames, row)
        return rearrange(features, "(b f) c h w -> b c f h w", b=len(images))

    def _convolve(self, x: Tensor) -> Tensor:
        x = self.first_layer(x, self.conv1)
        x = silu_(self.conv2(x))
        return self.conv3(x)


class LatentEncoder(nn.Module):
    """The reference latent to features of its own size."""

    def __init__(self, features: int, backend: Backend):
        super().__init__()
        self.conv1 = backend.conv(LATENT_CHANNELS, HIDDEN)
        self.conv2 = backend.conv(HIDDEN, HIDDEN)
        self.conv3 = backend.conv(HIDDEN, features)
        self.mixer = FrameMixer(features, backend)

    def forward(self, latent: Tensor) -> Tensor:
        """latent: b 4 1 h w; result b features 1 h w."""
        x = silu_(self.conv1(rearrange(latent, "b c 1 h w -> b c h w")))
        x = self.conv3(silu_(self.conv2(x)))
        return self.mixer(rearrange(x, "b c h w -> b c 1 h w"))


class ImageTokens(nn.Module):
    """An image embedding to tokens of the context."""

    def __init__(self, context_dim: int, tokens: int, backend: Backend):
        super().__init__()
        self.tokens = tokens
        self.linear1 = backend.linear(context_dim, context_dim)
        self.linear2 = backend.linear(context_dim, tokens * context_dim)

    def forward(self, image: Tensor) -> Tensor:
        """image: b 1 C; result b tokens C."""
        x = self.linear2(F.silu(self.linear1(image)))
        return rearrange(x, "b 1 (tokens c) -> b tokens c", tokens=self.tokens)


class ConditionEncoder(nn.Module):
    """The embeddings of all conditions, in the order in which the network takes them."""

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
        """Shapes as in UNet.forward. A reference pose without a reference latent is not used."""
        return Conditions(
            context=self.context(text, None if image is None else self.image_tokens(image)),
            pose=None if pose is None else self.pose(pose),
            # Repeated over the frames, the first frame would attend to equal values only: one frame says it all.
            first_frame=None if first_frame is None else self.first_frame(first_frame),
            reference=None if reference_latent is None else self.reference_features(reference_latent, reference_pose),
        )

    def reference_features(self, latent: Tensor, pose: Tensor | None) -> Tensor:
        """The reference as the network's first frame. latent: b 4 1 h w; pose: b 3 1 H W or None; result b 12 1 h w."""
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
        """The text states followed by the image tokens, which are zeros where there is no image. b m C."""
        if tokens is None:
            tokens = text.new_zeros(len(text), self.image_tokens.tokens, text.shape[-1])
        batch = max(len(text), len(tokens))
        return torch.cat([text.expand(batch, -1, -1), tokens.expand(batch, -1, -1)], dim=1)
