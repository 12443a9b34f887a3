"""The inputs of a scan, as one value that the operator and every back end share."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class ScanInputs(NamedTuple):
    """Tensors and direction of one scan; selective_scan gives their shapes and meaning.

    The order of the fields is that of the arguments of PyTorch's operator, see operator.
    """

    u: Tensor
    delta: Tensor
    A: Tensor
    B: Tensor
    C: Tensor
    D: Tensor
    z: Tensor | None = None
    added: Tensor | None = None
    reverse: bool = False

    def check_shapes(self) -> None:
        """Raises ValueError if a tensor does not fit u and A."""
        u, A = self.u, self.A
        if u.ndim != 3 or A.ndim != 2 or A.shape[0] != u.shape[2]:
            raise ValueError(f"u has shape {list(u.shape)}, A {list(A.shape)}: give n f E and E s")
        n, frames, channels = u.shape
        if not u.is_floating_point() or 0 in (frames, *A.shape):
            raise ValueError(
                f"u has shape {list(u.shape)} of {u.dtype}, A {list(A.shape)}: "
                "give floating-point numbers and at least one frame, channel and state"
            )
        like_u, projection = (n, frames, channels), (n, frames, A.shape[1])
        expected = {"D": (channels,), "delta": like_u, "z": like_u, "added": like_u, "B": projection, "C": projection}
        for name, shape in expected.items():
            x = getattr(self, name)
            if x is not None and x.shape != shape:
                raise ValueError(f"{name} has shape {list(x.shape)}, u {list(u.shape)}: give {name} of {list(shape)}")
