"""The unified video diffusion model: one 3D U-Net over the reference image and the clip.

Source: UniAnimate, section 3.2 and figure 2. b batch, f frames to generate, h w size of the latent, H W = 8h 8w.
"""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from ..config import LATENT_CHANNELS, POSE_FEATURES, REFERENCE_FEATURES, ModelConfig
from .backend import Attention, Backend, scaled_dot_product_attention, silu_
from .conditions import ConditionEncoder, Conditions, PoseRange
from .residual import ResidualBlock, Upsample
from .sizes import check_clip, check_conditions
from .temporal import TemporalModule
from .transformer import SpatialTransformer


def timestep_embedding(t: Tensor, width: int) -> Tensor:
    """Cosines, then sines, of t times frequencies that fall from 1 towards 1/10000. t: b; result b width, fp32."""
    half = width // 2
    frequencies = torch.exp(-math.log(10000) / half * torch.arange(half, dtype=torch.float32, device=t.device))
    angles = t.float()[:, None] * frequencies
    return torch.cat([angles.cos(), angles.sin()], dim=-1)


class Stem(nn.Module):
    """The first convolution and its temporal module, which is as wide inside as the configuration says."""

    def __init__(self, config: ModelConfig, backend: Backend):
        super().__init__()
        self.backend = backend
        self.conv = backend.conv(REFERENCE_FEATURES, config.dim)
        self.temporal = TemporalModule(config.dim, config.stem_width, config, backend)

    def forward(self, x: Tensor, frames: int) -> Tensor:
        return self.backend.run_stage(self._forward, x, frames)

    def _forward(self, x: Tensor, frames: int) -> Tensor:
        return self.temporal(self.conv(x), frames)


class Stage(nn.Module):
    """Residual block, and where the level holds attention, a spatial transformer and a temporal module."""

    def __init__(self, channels_in: int, channels_out: int, attends: bool, config: ModelConfig, backend: Backend):
        super().__init__()
        self.backend = backend
        self.residual = ResidualBlock(channels_in, channels_out, config.time_dim, backend)
        self.spatial = self.temporal = None
        if attends:
            heads = channels_out // config.head_dim
            self.spatial = SpatialTransformer(channels_out, config.context_dim, heads, backend)
            self.temporal = TemporalModule(channels_out, channels_out, config, backend)

    def forward(self, x: Tensor, time: Tensor, context: Tensor, frames: int) -> Tensor:
        return self.backend.run_stage(self._forward, x, time, context, frames)

    def _forward(self, x: Tensor, time: Tensor, context: Tensor, frames: int) -> Tensor:
        x = self.residual(x, time, frames)
        if self.spatial is not None and self.temporal is not None:
            x = self.spatial(x, context)
            x = self.temporal(x, frames)
        return x


class DownLevel(nn.Module):
    """The stages of one resolution on the way down, and the step to the next."""

    def __init__(self, channels_in: int, width: int, attends: bool, last: bool, config: ModelConfig, backend: Backend):
        super().__init__()
        widths = [channels_in] + [width] * config.residual_blocks
        self.stages = nn.ModuleList(Stage(a, b, attends, config, backend) for a, b in pairwise(widths))
        self.downsample = None if last else backend.conv(width, width, stride=2)

    def forward(self, x: Tensor, time: Tensor, context: Tensor, frames: int) -> tuple[Tensor, list[Tensor]]:
        """The running features, and those that the way up takes again."""
        skips = []
        for stage in self.stages:
            x = stage(x, time, context, frames)
            skips.append(x)
        if self.downsample is not None:
            x = self.downsample(x)
            skips.append(x)
        return x, skips


class UpLevel(nn.Module):
    """The stages of one resolution on the way up, each with skip features beside the running ones, and the step up."""

    def __init__(
        self,
        channels_in: int,
        skip_widths: list[int],
        width: int,
        attends: bool,
        last: bool,
        config: ModelConfig,
        backend: Backend,
    ):
        super().__init__()
        widths = [channels_in] + [width] * (len(skip_widths) - 1)
        self.stages = nn.ModuleList(
            Stage(running + skip, width, attends, config, backend)
            for running, skip in zip(widths, skip_widths, strict=True)
        )
        self.upsample = None if last else Upsample(width, backend)

    def forward(self, x: Tensor, skips: list[Tensor], time: Tensor, context: Tensor, frames: int) -> Tensor:
        """Takes its skip features off the end of skips, and drops them as it goes."""
        for stage in self.stages:
            x = torch.cat([x, skips.pop()], dim=1)
            x = stage(x, time, context, frames)
        return x if self.upsample is None else self.upsample(x)


class Middle(nn.Module):
    """A stage with attention and one more residual block, at the lowest resolution."""

    def __init__(self, width: int, config: ModelConfig, backend: Backend):
        super().__init__()
        self.stage = Stage(width, width, True, config, backend)
        self.residual = ResidualBlock(width, width, config.time_dim, backend)

    def forward(self, x: Tensor, time: Tensor, context: Tensor, frames: int) -> Tensor:
        return self.residual(self.stage(x, time, context, frames), time, frames)


class Head(nn.Module):
    def __init__(self, width: int, backend: Backend):
        super().__init__()
        self.norm = backend.group_norm(width, eps=1e-5)
        self.conv = backend.conv(width, LATENT_CHANNELS)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(silu_(self.norm(x)))


class UNet(nn.Module):
    """Predicts v for a clip. Weights have good names here; checkpoint/names.py knows those of the released file."""

    def __init__(
        self,
        config: ModelConfig,
        *,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
        operations: Any = nn,
        attention: Attention | None = None,
        frame_attention: Attention | None = None,
        dropout: float = 0.0,
        split_bytes: int | None = Backend.split_bytes,
        scan: str = Backend.scan,
    ):
        super().__init__()
        attention = attention or scaled_dot_product_attention
        frame_attention = frame_attention or attention
        backend = Backend(operations, attention, frame_attention, dtype, device, dropout, split_bytes, scan)
        self.config = config
        self.backend = backend
        self.dtype = dtype or torch.get_default_dtype()
        self.conditions = ConditionEncoder(config, backend)
        self.time1 = backend.linear(config.dim, config.time_dim)
        self.time2 = backend.linear(config.time_dim, config.time_dim)
        self.stem = Stem(config, backend)

        levels = list(zip(config.widths, config.attention_levels, strict=True))
        width, skip_widths = config.dim, [config.dim]
        self.down = nn.ModuleList()
        for index, (level_width, attends) in enumerate(levels):
            last = index == len(levels) - 1
            self.down.append(DownLevel(width, level_width, attends, last, config, backend))
            width = level_width
            skip_widths += [width] * (config.residual_blocks + (not last))
        self.middle = Middle(width, config, backend)
        self.up = nn.ModuleList()
        for index, (level_width, attends) in reversed(list(enumerate(levels))):
            taken = [skip_widths.pop() for _ in range(config.residual_blocks + 1)]
            self.up.append(UpLevel(width, taken, level_width, attends, index == 0, config, backend))
            width = level_width
        self.head = Head(width, backend)

    def forward(
        self,
        x: Tensor,
        t: Tensor,
        *,
        text: Tensor,
        image: Tensor | None = None,
        pose: Tensor | None = None,
        reference_pose: Tensor | None = None,
        reference_latent: Tensor | None = None,
        first_frame: Tensor | None = None,
    ) -> Tensor:
        """v for the noisy latents x. To take many steps with the same conditions, call embed once and denoise often.

        x: b 4 f h w, latent units (VAE latent x 0.18215); t: b, timesteps in 0..999.
        text: 1 77 C, states of the empty prompt; image: b 1 C, image embedding, not normalized.
        pose: b 3 f H W and reference_pose: b 3 1 H W, drawn poses in [0, 1]; reference_latent: b 4 1 h w.
        first_frame: b 3 1 H W, RGB in [0, 1]: an image, not a latent.
        Any condition but the text may be None, and one of batch 1 serves the whole batch. Result: b 4 f h w.
        Raises ValueError where sizes do not fit each other.
        """
        conditions = self.embed(
            text=text,
            image=image,
            pose=pose,
            reference_pose=reference_pose,
            reference_latent=reference_latent,
            first_frame=first_frame,
        )
        return self.denoise(x, t, conditions)

    def embed(self, *, pose_range: PoseRange | None = None, **conditions: Tensor | None) -> Conditions:
        """What the conditions contribute to every step; keywords and shapes as in forward.

        pose_range: how strongly, and over which share of the run, the poses guide.
        """
        check_conditions(self.config, conditions)
        cast = {name: None if value is None else value.to(self.dtype) for name, value in conditions.items()}
        embedded = self.conditions(**cast)
        return embedded if pose_range is None else replace(embedded, pose_range=pose_range)

    def denoise(self, x: Tensor, t: Tensor, conditions: Conditions) -> Tensor:
        """v for the noisy latents x. x: b 4 f h w; t: b."""
        check_clip(self.config, x, conditions)
        batch, frames = len(x), x.shape[2] + 1

        dtype = conditions.context.dtype
        t = t.expand(batch)
        time = timestep_embedding(t, self.config.dim).to(dtype)
        time = F.silu(self.time2(F.silu(self.time1(time))))
        context = conditions.context.expand(batch, -1, -1)
        merged = prepend_reference(x.to(dtype), t, conditions)
        hidden = rearrange(merged, "b c f h w -> (b f) c h w")  # spatial layers take frames as batch
        hidden = self.stem(hidden.contiguous(memory_format=torch.channels_last), frames)

        skips = [hidden]
        for level in self.down:
            hidden, level_skips = level(hidden, time, context, frames)
            skips += level_skips
        hidden = self.middle(hidden, time, context, frames)
        for level in self.up:
            hidden = level(hidden, skips, time, context, frames)

        v = rearrange(self.head(hidden), "(b f) c h w -> b c f h w", f=frames)
        return v[:, :, 1:].to(x.dtype)


def prepend_reference(x: Tensor, t: Tensor, conditions: Conditions) -> Tensor:
    """The clip beside its pose and first-frame features, and in front of it the reference as one more frame.

    x: b 4 f h w; t: b; result: b 12 f+1 h w.
    """
    batch, _, frames, height, width = x.shape
    guidance = x.new_zeros(batch, POSE_FEATURES, frames, height, width)
    if conditions.pose is not None:
        weight = conditions.pose_range.weight(t).to(x.dtype)
        guidance = guidance + weight[:, None, None, None, None] * conditions.pose
    if conditions.first_frame is not None:
        guidance = guidance + conditions.first_frame
    reference = conditions.reference
    if reference is None:
        reference = x.new_zeros(1, REFERENCE_FEATURES, 1, height, width)
    clip = torch.cat([x, guidance], dim=1)
    return torch.cat([reference.expand(batch, -1, -1, -1, -1), clip], dim=2)
