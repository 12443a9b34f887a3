"""Transformers over the places of one frame, and over the frames at one place."""

from __future__ import annotations

import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from .backend import MAX_SEQUENCES, Backend


class SelfAttention(nn.Module):
    """Every token attends to all tokens of its sequence. Frames are processed in pieces."""

    def __init__(self, width: int, heads: int, backend: Backend):
        super().__init__()
        self.heads = heads
        self.backend = backend
        self.qkv = backend.linear(width, 3 * width, bias=False)
        self.out = backend.linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """x and result: b n c."""
        qkv_and_result = 4 * x[0].numel() * x.element_size()
        return self.backend.in_pieces(self._attend, x, qkv_and_result)

    def _attend(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        return self.out(self.backend.attention(q, k, v, self.heads))


class CrossAttention(nn.Module):
    """Every token attends to the context, which all frames of a clip share."""

    def __init__(self, width: int, context_dim: int, heads: int, backend: Backend):
        super().__init__()
        self.heads = heads
        self.attention = backend.attention
        self.q = backend.linear(width, width, bias=False)
        self.kv = backend.linear(context_dim, 2 * width, bias=False)
        self.out = backend.linear(width, width)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """x and result: (b f) n c; context: b m context_dim."""
        frames = len(x) // len(context)
        q = rearrange(self.q(x), "(b f) n c -> b (f n) c", f=frames)  # all frames query one context
        k, v = self.kv(context).chunk(2, dim=-1)
        attended = self.attention(q, k, v, self.heads)
        return self.out(rearrange(attended, "b (f n) c -> (b f) n c", f=frames))


class FrameAttention(nn.Module):
    """Each frame attends to all frames at the same place, without positions and without a mask."""

    def __init__(self, width: int, heads: int, backend: Backend):
        super().__init__()
        self.heads = heads
        self.backend = backend
        self.qkv = backend.linear(width, 3 * width, bias=False)
        self.out = backend.linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """x and result: b f n c, n places. Places are processed in pieces, each a batch of short sequences."""
        batch, frames, _, width = x.shape
        qkv_and_result = 4 * batch * frames * width * x.element_size()
        most = MAX_SEQUENCES // (batch * self.heads)
        return self.backend.in_pieces(self._attend, x, qkv_and_result, dim=2, most=most)

    def _attend(self, x: Tensor) -> Tensor:
        qkv = rearrange(self.qkv(x), "b f n c -> (b n) f c")  # a view if attention takes strides
        q, k, v = qkv.chunk(3, dim=-1)
        attended = self.backend.frame_attention(q, k, v, self.heads)
        return self.out(rearrange(attended, "(b n) f c -> b f n c", b=len(x)))


class FeedForward(nn.Module):
    """GEGLU with an inner width of 4c. Tokens are processed in pieces: value and gate together take 8c.

    Source: Shazeer 2020, GLU Variants Improve Transformer, eq. 6, with the value first and the gate second.
    """

    def __init__(self, width: int, backend: Backend):
        super().__init__()
        self.backend = backend
        self.proj = backend.linear(width, 8 * width)
        self.out = backend.linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """x and result: ... c."""
        tokens = x.reshape(-1, x.shape[-1])
        widest = 8 * tokens.shape[-1] * tokens.element_size()
        return self.backend.in_pieces(self._transform, tokens, widest).view(x.shape)

    def _transform(self, x: Tensor) -> Tensor:
        value, gate = self.proj(x).chunk(2, dim=-1)
        return self.out(value * F.gelu(gate))


class SpatialBlock(nn.Module):
    """Self-attention, cross-attention to the context, feed-forward; each behind a norm and added to its input."""

    def __init__(self, width: int, context_dim: int, heads: int, backend: Backend):
        super().__init__()
        self.norm1 = backend.layer_norm(width)
        self.self_attention = SelfAttention(width, heads, backend)
        self.norm2 = backend.layer_norm(width)
        self.cross_attention = CrossAttention(width, context_dim, heads, backend)
        self.norm3 = backend.layer_norm(width)
        self.feed_forward = FeedForward(width, backend)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        x = x + self.self_attention(self.norm1(x))
        x = x + self.cross_attention(self.norm2(x), context)
        return x + self.feed_forward(self.norm3(x))


class TemporalBlock(nn.Module):
    """Two self-attentions over frames, then a feed-forward. The second replaces a spatial block's cross-attention."""

    def __init__(self, width: int, heads: int, backend: Backend):
        super().__init__()
        self.norm1 = backend.layer_norm(width)
        self.attention1 = FrameAttention(width, heads, backend)
        self.norm2 = backend.layer_norm(width)
        self.attention2 = FrameAttention(width, heads, backend)
        self.norm3 = backend.layer_norm(width)
        self.feed_forward = FeedForward(width, backend)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention1(self.norm1(x))
        x = x + self.attention2(self.norm2(x))
        return x + self.feed_forward(self.norm3(x))


class SpatialTransformer(nn.Module):
    """Self-attention within each frame, then attention to the text states and image tokens."""

    def __init__(self, channels: int, context_dim: int, heads: int, backend: Backend):
        super().__init__()
        self.norm = backend.group_norm(channels, eps=1e-6)
        self.proj_in = backend.linear(channels, channels)
        self.block = SpatialBlock(channels, context_dim, heads, backend)
        self.proj_out = backend.linear(channels, channels)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """x and result: (b f) c h w; context: b m context_dim."""
        tokens = rearrange(self.norm(x), "n c h w -> n (h w) c")  # places become tokens
        tokens = self.proj_out(self.block(self.proj_in(tokens), context))
        return x + rearrange(tokens, "n (h w) c -> n c h w", h=x.shape[2])
