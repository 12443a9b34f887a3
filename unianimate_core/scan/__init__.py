"""The selective scan: the recurrence at the heart of Mamba, over the frames of many short sequences.

    h_t = exp(delta_t A) * h_(t-1) + delta_t u_t B_t,    y_t = h_t C_t + D u_t

n sequences, f frames, E channels, s states a channel. Back ends compute it in their own ways and agree: see backends.
"""

from __future__ import annotations

from torch import Tensor

from .backends import BACKENDS, check_name, load, resolve
from .operator import scan

__all__ = ["BACKENDS", "selective_scan"]


def selective_scan(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor,
    z: Tensor | None = None,
    *,
    added: Tensor | None = None,
    reverse: bool = False,
    backend: str = "auto",
) -> Tensor:
    """(y + added) * silu(z), differentiable with respect to every tensor; without z or added, that part is left out.

    u, delta, z, added and the result: n f E; delta is positive. A: E s, negative; D: E; B, C: n f s. n may be 0, and
    any strides will do. reverse: the recurrence runs from the last frame to the first, each y in its own frame's place.
    The state is fp32 whatever the precision of the inputs, fp64 where u is; the result has the precision of u.
    backend: "auto" takes the fastest that is there, and the log says which; "torch", "triton" or "mamba_ssm" force one.
    Raises ValueError where shapes do not fit, and ImportError where a forced back end is absent.
    Source: Gu and Dao 2023, algorithm 2 (A discretised exactly, B by its first-order term).
    """
    _check_shapes(u, A, {"delta": delta, "z": z, "added": added}, {"B": B, "C": C}, D)
    check_name(backend)
    backend = resolve(backend, u.device.type)
    if backend == "mamba_ssm":  # which brings its own gradients
        return load(backend).forward(u, delta, A, B, C, D, z, added, reverse)
    return scan(u, delta, A, B, C, D, z, added, reverse, backend)


def _check_shapes(
    u: Tensor, A: Tensor, like_u: dict[str, Tensor | None], projections: dict[str, Tensor], D: Tensor
) -> None:
    if u.ndim != 3 or A.ndim != 2 or A.shape[0] != u.shape[2]:
        raise ValueError(f"u has shape {list(u.shape)}, A {list(A.shape)}: give n f E and E s")
    n, frames, channels = u.shape
    if not u.is_floating_point() or 0 in (frames, *A.shape):
        raise ValueError(
            f"u has shape {list(u.shape)} of {u.dtype}, A {list(A.shape)}: give numbers, frames and states"
        )
    expected: dict[str, tuple[Tensor, tuple[int, ...]]] = {"D": (D, (channels,))}
    expected |= {name: (x, (n, frames, channels)) for name, x in like_u.items() if x is not None}
    expected |= {name: (x, (n, frames, A.shape[1])) for name, x in projections.items()}
    for name, (x, shape) in expected.items():
        if x.shape != shape:
            raise ValueError(f"{name} has shape {list(x.shape)}, u {list(u.shape)}: give {name} of {list(shape)}")
