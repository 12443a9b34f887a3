"""Loading keeps one copy of the weights in memory, in the requested precision."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from unianimate_core.checkpoint.loading import metadata_of, network_entries
from unianimate_core.config import RELEASED
from unianimate_core.storage.safetensors_file import write_safetensors

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")]

NARROW = replace(RELEASED, dim=64, stem_width=128, context_dim=256)  # 57 million parameters

# Loads a file and prints the largest growth of the process's own memory. Pages mapped from the file do not count,
# because the system can free them at any time.
MEASURE = """
import json, sys, threading, torch
from unianimate_core.checkpoint import load_unet

def own_memory():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("RssAnon"))

def watch():
    while not done.wait(0.0005):
        peak.append(own_memory())

torch.zeros(10**6).half()
sys.setswitchinterval(1e-4)
before, peak, done = own_memory(), [], threading.Event()
watcher = threading.Thread(target=watch)
watcher.start()
unet = load_unet(sys.argv[1], dtype=torch.float16)
done.set()
watcher.join()
print(json.dumps({
    "grown": max(peak + [own_memory()]) - before,
    "weights": sum(p.nbytes for p in unet.parameters()),
    "samples": len(peak),
}))
"""


@pytest.fixture(scope="module")
def weights() -> dict[str, torch.Tensor]:
    """A checkpoint of 0.25 GB in fp32."""
    entries = network_entries(NARROW)
    return {name: torch.full(entry.stored_shape, 0.01) for entry in entries for name in entry.stored_names}


def measure(path: Path) -> dict[str, int]:
    result = subprocess.run([sys.executable, "-c", MEASURE, path], capture_output=True, text=True, check=True)
    return json.loads(result.stdout)


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_pickle_is_converted_tensor_by_tensor(wrapped, weights, tmp_path):
    """So 5.67 GB in fp32 become 2.8 GB in fp16 on a machine with 8 GB."""
    torch.save({"state_dict": weights, "step": 1} if wrapped else weights, tmp_path / "unet.pth")
    measured = measure(tmp_path / "unet.pth")
    assert measured["samples"] > 5
    assert measured["grown"] < 1.2 * measured["weights"]


def test_a_converted_file_stays_mapped(weights, tmp_path):
    """Tensors that need no conversion are not copied, except the stacked projections, about a tenth of them."""
    half = {name: tensor.half() for name, tensor in weights.items()}
    write_safetensors(tmp_path / "unet.safetensors", half, metadata_of(NARROW))
    measured = measure(tmp_path / "unet.safetensors")
    assert measured["grown"] < 0.3 * measured["weights"]
