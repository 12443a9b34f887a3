"""Equal content has equal hashes, and whatever can change a result changes the hash."""

from __future__ import annotations

import functools
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

from tests.support import ROOT
from unianimate_core.storage.content_hash import content_hash, weights_hash


def scaled(factor):
    def patch(x):
        return factor * x

    return patch


PAIRS = [
    (1, 2),
    (1, 1.0),
    (1, "1"),
    (None, False),
    ("ab", ["a", "b"]),
    ([1, [2]], [[1], 2]),
    ({"a": 1}, {"a": 2}),
    (torch.zeros(2, 3), torch.zeros(3, 2)),
    (torch.zeros(2), torch.zeros(2, dtype=torch.float64)),
    (torch.zeros(2), torch.tensor([0.0, 1e-30])),
    (SimpleNamespace(rank=4), SimpleNamespace(rank=8)),
    (scaled(1), scaled(2)),
    (functools.partial(max, 1), functools.partial(max, 2)),
    (torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)),
    (object(), object()),
]


@pytest.mark.parametrize(("a", "b"), PAIRS, ids=[str(index) for index in range(len(PAIRS))])
@pytest.mark.parametrize("hashed", [content_hash, weights_hash])
def test_what_differs_hashes_differently(hashed, a, b):
    assert hashed(a) != hashed(b)


def test_order_of_keys_strides_and_private_attributes_do_not_count():
    assert content_hash({"a": 1, "b": 2}) == content_hash({"b": 2, "a": 1})
    grid = torch.arange(12.0).reshape(3, 4)
    assert content_hash(grid.T) == content_hash(grid.T.contiguous())
    assert content_hash(scaled(3)) == content_hash(scaled(3))
    assert content_hash(SimpleNamespace(rank=4, _step=1)) == content_hash(SimpleNamespace(rank=4, _step=2))


def test_a_list_that_contains_itself_has_a_hash():
    loop: list = [1]
    loop.append(loop)
    assert content_hash(loop) == content_hash(loop)


def test_training_changes_the_hash_of_weights():
    weights = {"layer": torch.randn(1000, 1000, generator=torch.Generator().manual_seed(0))}
    trained = {"layer": weights["layer"] * 1.001}
    assert weights_hash(weights) == weights_hash({"layer": weights["layer"].clone()})
    assert weights_hash(weights) != weights_hash(trained)


def test_another_process_finds_the_same_hash():
    """After a crash the next process finds the segments of a run by their hashes."""
    program = "import torch; from unianimate_core.storage.content_hash import content_hash as h; "
    program += "print(h({'a': 1, 'b': {'x', 'y', 'z'}}, torch.arange(3), torch.device('cpu')))"
    found = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    here = content_hash({"a": 1, "b": {"x", "y", "z"}}, torch.arange(3), torch.device("cpu"))
    assert found.stdout.strip() == here


def test_an_ignored_network_does_not_count_even_inside_another_one():
    """A host patches LoRA weights into it while it samples. Everything else still counts."""
    network, other = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    wrapped = torch.nn.Sequential(network)
    before = weights_hash(wrapped, other, ignored=network)
    with torch.no_grad():
        network.weight += 1
    assert weights_hash(wrapped, other, ignored=network) == before
    with torch.no_grad():
        other.weight += 1
    assert weights_hash(wrapped, other, ignored=network) != before
