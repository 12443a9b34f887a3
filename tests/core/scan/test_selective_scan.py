"""Every back end computes the same scan, forwards and backwards, as its definition does in double precision."""

from __future__ import annotations

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from tests.support.examples import examples
from tests.support.scan import LAYOUTS, Case, by_definition, difference, differences
from unianimate_core.scan import selective_scan

TOLERANCE = 1e-5
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def cases(n: int, f: int, E: int, s: int) -> st.SearchStrategy[Case]:
    return st.builds(
        Case,
        n=st.integers(0, n),
        f=st.integers(1, f),
        E=st.integers(1, E),
        s=st.integers(1, s),
        reverse=st.booleans(),
        gated=st.booleans(),
        added=st.booleans(),
        layout=st.sampled_from(LAYOUTS),
    )


@examples(40)
@given(cases(n=5, f=513, E=9, s=17))
@example(Case(n=3, f=1, E=8, s=16, added=True))
@example(Case(n=2, f=513, E=5, s=16, reverse=True))
@example(Case(n=0, f=33, E=8, s=16))
def test_the_torch_loop_agrees_with_the_definition(case):
    assert max(differences(case, "torch").values()) < TOLERANCE


@pytest.mark.parametrize(
    "case", [Case(n=2, f=3, E=5, s=3, added=True), Case(n=1, f=4, E=2, s=2, reverse=True, gated=False)]
)
def test_triton_agrees_with_the_definition(case):
    """On a GPU, or without one in Triton's interpreter, where each operation of a kernel is one of NumPy."""
    pytest.importorskip("triton", reason="Triton is on Linux and Windows alone")
    assert max(differences(case, "triton", DEVICE).values()) < TOLERANCE


@pytest.mark.slow
@examples(10)
@given(cases(n=2, f=5, E=5, s=5))
@example(Case(n=2, f=1, E=130, s=16, added=True))
@example(Case(n=1, f=513, E=2, s=3, reverse=True, gated=False))
@example(Case(n=0, f=5, E=8, s=16))
def test_triton_agrees_with_the_definition_in_every_shape(case):
    """The interpreter takes about a second for each example."""
    pytest.importorskip("triton", reason="Triton is on Linux and Windows alone")
    assert max(differences(case, "triton", DEVICE).values()) < TOLERANCE


def test_one_program_of_the_backward_pass_takes_several_sequences(monkeypatch):
    """A GPU runs fewer than there are sequences, and each keeps the states of one after another in the same place."""
    scan = pytest.importorskip("unianimate_core.scan.triton_scan")
    monkeypatch.setattr(scan, "PROGRAMS_A_PROCESSOR", 1)
    monkeypatch.setattr(scan, "HISTORY_BYTES", 1)
    assert max(differences(Case(n=3, f=4, E=5, s=3, added=True), "triton", DEVICE).values()) < TOLERANCE


def test_more_sequences_than_a_block_holds_change_nothing(monkeypatch):
    """The loop takes some sequences at a time, and the last block is smaller."""
    monkeypatch.setattr("unianimate_core.scan.blocks.CPU_STATE_BYTES", 5_000)
    assert max(differences(Case(n=23, f=6, E=8, s=16, added=True), "torch").values()) < TOLERANCE


def test_gradients_are_those_of_finite_differences():
    """Independent of any other way to write the derivative."""
    inputs = {name: x.double().requires_grad_() for name, x in Case(n=2, f=4, E=3, s=2, added=True).inputs().items()}

    def scan(*tensors):
        return selective_scan(**dict(zip(inputs, tensors, strict=True)), backend="torch")

    assert torch.autograd.gradcheck(scan, tuple(inputs.values()))


def test_reverse_is_the_scan_of_reversed_frames():
    case = Case(n=2, f=9, E=4, s=3)
    inputs = case.inputs()
    turned = {name: x.flip(1) if x.ndim == 3 else x for name, x in inputs.items()}
    assert torch.equal(selective_scan(**inputs, reverse=True), selective_scan(**turned).flip(1))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("backend", ["torch", "triton"])
def test_the_state_is_in_single_precision_whatever_the_inputs(backend, dtype):
    """A state in half precision would lose what a few hundred frames add up to: only the result is rounded."""
    case = Case(n=2, f=70 if backend == "torch" else 20, E=4, s=4, gated=False)
    inputs = {name: x.to(dtype) if x.ndim == 3 else x for name, x in case.inputs(DEVICE).items()}
    y = selective_scan(**inputs, backend=backend)
    assert y.dtype == dtype
    assert difference(y, by_definition(inputs, case.reverse).to(dtype).double()) <= torch.finfo(dtype).eps


@pytest.mark.parametrize("backend", ["torch", "triton"])
@pytest.mark.parametrize("fastest", [1e4, float("inf")])
def test_extremes_of_half_precision_give_finite_results(backend, fastest):
    """The largest and smallest steps with the fastest and slowest decay, also where exp(A_log) has overflowed.

    The gradient of u holds the step itself, 65504, and may be beyond half precision.
    """
    inputs = {name: x.to(torch.float16) if x.ndim == 3 else x for name, x in Case(3, 12, 4, 4).inputs(DEVICE).items()}
    inputs["delta"] = torch.tensor([65504, 1, 6e-8, 0], dtype=torch.float16, device=DEVICE).repeat(36).view(3, 12, 4)
    inputs["u"] = inputs["u"] / 65504
    inputs["A"] = -torch.tensor([1e-8, 1.0, 100.0, fastest], device=DEVICE).repeat(4, 1)
    leaves = {name: x.detach().requires_grad_() for name, x in inputs.items()}
    y = selective_scan(**leaves, backend=backend)
    assert y.isfinite().all()
    if fastest < float("inf"):
        y.float().sum().backward()
        gradients = {name: x.grad for name, x in leaves.items() if name in ("A", "B", "C", "D", "z")}
        assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients.values())


def test_autocast_does_not_reach_the_state():
    """Mixed-precision training casts products to half precision, which must not happen within a scan."""
    inputs = Case(n=2, f=50, E=4, s=4).inputs()
    with torch.autocast("cpu", torch.bfloat16):
        y = selective_scan(**inputs)
    assert torch.equal(y, selective_scan(**inputs))


def test_the_operator_keeps_its_promises_to_pytorch():
    """Shapes on meta tensors, derivatives and compilation rest on them."""
    inputs = {name: x.requires_grad_() for name, x in Case(n=2, f=3, E=4, s=3, added=True).inputs().items()}
    torch.library.opcheck(torch.ops.unianimate.selective_scan.default, (*inputs.values(), True, "torch"))


def test_it_compiles_without_a_graph_break():
    inputs = Case(n=2, f=3, E=4, s=3).inputs()
    compiled = torch.compile(lambda **x: 2 * selective_scan(**x), backend="aot_eager", fullgraph=True)
    assert torch.equal(compiled(**inputs), 2 * selective_scan(**inputs))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"u": torch.zeros(2, 3)}, r"u has shape \[2, 3\], A \[4, 3\]: give n f E and E s"),
        ({"delta": torch.zeros(2, 4, 4)}, r"delta has shape \[2, 4, 4\], u \[2, 5, 4\]: give delta of \[2, 5, 4\]"),
        ({"B": torch.zeros(2, 5, 4)}, r"B has shape \[2, 5, 4\], u \[2, 5, 4\]: give B of \[2, 5, 3\]"),
        ({"D": torch.zeros(3)}, r"D has shape \[3\]"),
        ({"z": torch.zeros(2, 5, 1)}, r"z has shape \[2, 5, 1\]"),
        ({"backend": "cuda"}, "the scan's back end is 'cuda': give auto, triton, mamba_ssm or torch"),
    ],
)
def test_what_does_not_fit_is_refused(change, sentence):
    with pytest.raises(ValueError, match=sentence):
        selective_scan(**(Case(n=2, f=5, E=4, s=3).inputs() | change))
