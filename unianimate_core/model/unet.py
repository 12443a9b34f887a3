"""The unified video diffusion model: one 3D U-Net over the reference image and the clip.

Source: UniAnimate, section 3.2 and figure 2.
b batch, f frames to generate (the paper's t; here t is a timestep), h w size of the latent, H W = 8h 8w pixels.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from ..config import POSE_FEATURES, REFERENCE_FEATURES, ModelConfig
from .backend import Attention, Backend, scaled_dot_product_attention
from .conditions import ConditionEncoder, Conditions, PoseRange
from .sizes import check_clip, check_conditions
from .stages import Head, Middle, Stem, down_levels, up_levels


def timestep_embedding(t: Tensor, width: int) -> Tensor:
    """Cosines, then sines, of t times frequencies that fall from 1 toward 1/10000. t: b; result: b width, fp32."""
    half = width // 2
    frequencies = torch.exp(-math.log(10000) / half * torch.arange(half, dtype=torch.float32, device=t.device))
    angles = t.float()[:, None] * frequencies
    return torch.cat([angles.cos(), angles.sin()], dim=-1)


class UNet(nn.Module):
    """Predicts v for a clip. checkpoint/names.py maps the names of its weights to those of the released file."""

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
        self.down = down_levels(config, backend)
        self.middle = Middle(config.widths[-1], config, backend)
        self.up = up_levels(config, backend)
        self.head = Head(config.widths[0], backend)

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
        """v for the noisy latents x. For many steps with the same conditions, call embed once and denoise at each step.

        x: b 4 f h w, latent units (VAE latent x 0.18215); t: b, timesteps in 0..999.
        text: 1 77 C, states of the empty prompt; image: b 1 C, image embedding, not normalized.
        pose: b 3 f H W and reference_pose: b 3 1 H W, drawn poses in [0, 1]; reference_latent: b 4 1 h w.
        first_frame: b 3 1 H W, RGB in [0, 1]: an image, not a latent.
        Any condition but the text may be None, and one of batch 1 serves the whole batch. Result: b 4 f h w.
        Raises ValueError if sizes do not match.
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
        """The conditions' features, which are the same at every step. Keywords and shapes as in forward.

        pose_range: how strongly the poses guide, and over which share of the run.
        """
        check_conditions(self.config, conditions)
        cast = {name: None if value is None else value.to(self.dtype) for name, value in conditions.items()}
        embedded = self.conditions(**cast)
        return embedded if pose_range is None else replace(embedded, pose_range=pose_range)

    def denoise(self, x: Tensor, t: Tensor, conditions: Conditions) -> Tensor:
        """v for the noisy latents x. x and result: b 4 f h w; t: b."""
        check_clip(self.config, x, conditions)
        batch, dtype = len(x), conditions.context.dtype
        t = t.expand(batch)
        time = self.embed_timestep(t, dtype)
        context = conditions.context.expand(batch, -1, -1)

        merged = prepend_reference(x.to(dtype), t, conditions)
        frames = merged.shape[2]
        hidden = frames_to_batch(merged)  # b c f+1 h w -> (b f+1) c h w, for the spatial layers
        hidden, skips = self.encode(hidden, time, context, frames)
        hidden = self.middle(hidden, time, context, frames)
        hidden = self.decode(hidden, skips, time, context, frames)
        v = rearrange(self.head(hidden), "(b f) c h w -> b c f h w", f=frames)  # back to clips
        return drop_reference(v).to(x.dtype)

    def embed_timestep(self, t: Tensor, dtype: torch.dtype) -> Tensor:
        """The timestep's features, with the SiLU of every residual block already applied. t: b; result: b time_dim."""
        time = timestep_embedding(t, self.config.dim).to(dtype)
        return F.silu(self.time2(F.silu(self.time1(time))))

    def encode(self, x: Tensor, time: Tensor, context: Tensor, frames: int) -> tuple[Tensor, list[Tensor]]:
        """The stem and the way down. x: (b frames) 12 h w. Returns the lowest features and all skip features."""
        hidden = self.stem(x, frames)
        skips = [hidden]
        for level in self.down:
            hidden, level_skips = level(hidden, time, context, frames)
            skips += level_skips
        return hidden, skips

    def decode(self, hidden: Tensor, skips: list[Tensor], time: Tensor, context: Tensor, frames: int) -> Tensor:
        """The way up. Empties skips as it goes, which frees their memory."""
        for level in self.up:
            hidden = level(hidden, skips, time, context, frames)
        return hidden


def prepend_reference(x: Tensor, t: Tensor, conditions: Conditions) -> Tensor:
    """f_merge of the paper: f_ref, then f_v, along the frames. x: b 4 f h w; t: b; result: b 12 f+1 h w.

    f_v holds the latents and, on further channels, the sum of the pose features and the first frame's features.
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


def drop_reference(v: Tensor) -> Tensor:
    """Removes the frame that prepend_reference added. v: b 4 f+1 h w; result: b 4 f h w."""
    return v[:, :, 1:]


def frames_to_batch(x: Tensor) -> Tensor:
    """b c f h w -> (b f) c h w, in channels-last memory."""
    return rearrange(x, "b c f h w -> (b f) c h w").contiguous(memory_format=torch.channels_last)
