"""Layers and attention for training on a CPU. They compute the same as PyTorch's, faster for small networks.

PyTorch's group norm takes up to 20 times as long for channels-last images of 16x16. Its fused attention takes 2 to 4
times as long, forward and backward, for sequences of 2 to 17 frames and of 64 to 256 places in bfloat16.
benchmarks/training.py measures both.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from .drawn_poses import first_pose_layer

__all__ = ["Conv1d", "Conv2d", "GroupNorm", "INITIALIZES", "LayerNorm", "Linear", "attention", "first_pose_layer"]

Linear, Conv1d, Conv2d, LayerNorm = nn.Linear, nn.Conv1d, nn.Conv2d, nn.LayerNorm
INITIALIZES = True
MAX_SCORES = 2**26  # elements of the attention matrix; above this, the fused kernel saves the memory


class GroupNorm(nn.GroupNorm):
    def forward(self, x: Tensor) -> Tensor:
        rows = rearrange(x, "n c h w -> n (h w) c")  # a view of channels-last memory
        normed = _GroupNorm.apply(rows, self.weight, self.bias, self.num_groups, self.eps)
        return rearrange(normed, "n (h w) c -> n c h w", h=x.shape[2])


class _GroupNorm(torch.autograd.Function):
    """Sums over places for each channel, in long plain loops over memory, then combined into statistics of groups.

    x and the result: n places c; sums are in fp32.
    """

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, bias: Tensor, groups: int, eps: float) -> Tensor:
        in_group = x.shape[1] * (x.shape[2] // groups)
        sums = x.sum(1, dtype=torch.float32)
        squares = torch.linalg.vector_norm(x, dim=1, dtype=torch.float32).square_()
        mean = _by_group(sums, groups).sum(-1) / in_group
        variance = _by_group(squares, groups).sum(-1) / in_group - mean.square()
        inverse = (variance.clamp_(min=0) + eps).rsqrt()
        scale = inverse[:, :, None] * _by_group(weight, groups)
        shift = _by_group(bias, groups) - mean[:, :, None] * scale
        ctx.save_for_backward(x, weight, mean, inverse)
        return _affine(x, scale, shift)

    @staticmethod
    def backward(ctx, grad: Tensor):  # pyright: ignore[reportIncompatibleMethodOverride]
        x, weight, mean, inverse = ctx.saved_tensors
        groups = mean.shape[1]
        in_group = x.shape[1] * (x.shape[2] // groups)
        to_bias = _by_group(grad.sum(1, dtype=torch.float32), groups)
        times_x = _by_group((grad * x).sum(1, dtype=torch.float32), groups)
        to_weight = (times_x - mean[:, :, None] * to_bias) * inverse[:, :, None]

        by_group = _by_group(weight, groups)
        mean_grad = (to_bias * by_group).sum(-1) / in_group
        mean_grad_x = (to_weight * by_group).sum(-1) / in_group
        slope = -inverse.square() * mean_grad_x
        level = -inverse * mean_grad - mean * slope
        rest = _affine(x, slope[:, :, None].expand_as(to_bias), level[:, :, None].expand_as(to_bias))
        to_x = rest.addcmul_(grad, _by_channel(inverse[:, :, None] * by_group, grad.dtype))
        return to_x, to_weight.sum(0).flatten(), to_bias.sum(0).flatten(), None, None


def _affine(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """x: n places c; scale, shift: n groups c/groups."""
    return torch.addcmul(_by_channel(shift, x.dtype), x, _by_channel(scale, x.dtype))


def _by_group(values: Tensor, groups: int) -> Tensor:
    return values.unflatten(-1, (groups, -1)).float()


def _by_channel(values: Tensor, dtype: torch.dtype) -> Tensor:
    return values.flatten(1)[:, None].to(dtype)


def attention(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    """softmax(q k^T / sqrt(d)) v, with the whole matrix of scores. q, k, v and the result: b n (heads d)."""
    q, k, v = (rearrange(x, "b n (heads d) -> b heads n d", heads=heads) for x in (q, k, v))
    if q.shape[0] * heads * q.shape[2] * k.shape[2] > MAX_SCORES:
        attended = F.scaled_dot_product_attention(q, k, v)
    else:
        attended = (q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5).softmax(-1) @ v
    return rearrange(attended, "b heads n d -> b n (heads d)")
