"""The scan by its definition, step by step in fp64, and random inputs for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from unianimate_core.scan import selective_scan

Inputs = Mapping[str, Tensor]


@dataclass(frozen=True)
class Case:
    """n sequences, f frames, E channels, s states; layout: the strides of the tensors, one of LAYOUTS."""

    n: int
    f: int
    E: int
    s: int
    reverse: bool = False
    gated: bool = True
    added: bool = False
    layout: str = "contiguous"

    def inputs(self, device: torch.device | str = "cpu") -> dict[str, Tensor]:
        generator = torch.Generator().manual_seed(self.n + 7 * self.f + 11 * self.E + 13 * self.s)

        def normal(*shape: int) -> Tensor:
            return torch.randn(shape, generator=generator)

        n, f, E, s = self.n, self.f, self.E, self.s
        made = {"u": normal(n, f, E), "delta": F.softplus(normal(n, f, E) - 2), "A": -normal(E, s).exp()}
        made |= {"B": normal(n, f, s), "C": normal(n, f, s), "D": normal(E)}
        if self.gated:
            made["z"] = normal(n, f, E)
        if self.added:
            made["added"] = normal(n, f, E)
        return {name: laid_out(x.to(device), self.layout) for name, x in made.items()}


LAYOUTS = ("contiguous", "frames first", "every second channel", "a part")


def laid_out(x: Tensor, layout: str) -> Tensor:
    """The same values with other strides. Only n f ... tensors change."""
    if x.ndim != 3 or layout == "contiguous":
        return x
    if layout == "frames first":
        return x.transpose(0, 1).contiguous().transpose(0, 1)
    if layout == "every second channel":
        return torch.stack([x, x], dim=-1).flatten(-2)[..., ::2]
    return torch.cat([x, x], dim=-1)[..., x.shape[-1] :]


def by_definition(inputs: Inputs, reverse: bool) -> Tensor:
    """The result of selective_scan in fp64."""
    given = {name: x.double() for name, x in inputs.items()}
    u, delta, B, C = (given[name] for name in ("u", "delta", "B", "C"))
    h = u.new_zeros(u.shape[0], *given["A"].shape)
    frames = range(u.shape[1])
    y = {}
    for t in reversed(frames) if reverse else frames:
        h = (delta[:, t, :, None] * given["A"]).exp() * h + (delta[:, t] * u[:, t])[..., None] * B[:, t, None]
        y[t] = (h * C[:, t, None]).sum(-1) + given["D"] * u[:, t]
    result = torch.stack([y[t] for t in frames], dim=1)
    if "added" in given:
        result = result + given["added"]
    return result * F.silu(given["z"]) if "z" in given else result


def differences(case: Case, backend: str, device: torch.device | str = "cpu") -> dict[str, float]:
    """Compares the result and each gradient with the definition: see difference."""
    inputs = case.inputs(device)
    weights = case.inputs(device)["u"].cos().double()
    ours = {name: x.detach().requires_grad_() for name, x in inputs.items()}
    exact = {name: x.detach().double().requires_grad_() for name, x in inputs.items()}
    y, y_exact = selective_scan(**ours, reverse=case.reverse, backend=backend), by_definition(exact, case.reverse)
    (y * weights.float()).sum().backward()
    (y_exact * weights).sum().backward()
    pairs = {"y": (y, y_exact)} | {name: (ours[name].grad, exact[name].grad) for name in inputs}
    return {name: difference(a, b) for name, (a, b) in pairs.items()}


def difference(result: Tensor | None, expected: Tensor | None) -> float:
    """The largest absolute difference, divided by the largest expected value.

    A largest value below 0.1 counts as 0.1, because terms near 1 may cancel to a small sum.
    """
    assert result is not None
    assert expected is not None
    assert result.shape == expected.shape
    if not result.numel():
        return 0.0
    result, expected = result.detach().double(), expected.detach()
    return float((result - expected).abs().max() / expected.abs().max().clamp(min=0.1))
