"""The networks that come with the pack: their size, precision and temporal modules."""

from __future__ import annotations

import torch
from safetensors import safe_open

from unianimate_core import mini
from unianimate_core.checkpoint import read_checkpoint
from unianimate_core.checkpoint.names import precision_of


def test_all_files_of_the_mini_take_less_than_30_mb():
    """Everybody who clones the pack downloads them."""
    assert sum(path.stat().st_size for path in mini.FOLDER.rglob("*") if path.is_file()) < 30e6


def test_each_network_holds_the_temporal_module_of_its_name():
    transformer, mamba = (read_checkpoint(path)[1] for path in (mini.TRANSFORMER, mini.MAMBA))
    assert transformer.mamba is None
    assert mamba.mamba is not None
    assert (mamba.dim, mamba.multipliers) == (transformer.dim, transformer.multipliers)


def test_the_networks_are_stored_in_half_precision():
    """Only the decays and gates of a Mamba stay in fp32."""
    for path in (mini.TRANSFORMER, mini.MAMBA):
        with safe_open(path, "pt") as file:
            dtypes = {name: file.get_tensor(name).dtype for name in file.keys()}  # noqa: SIM118
        assert dtypes == {name: precision_of(name, torch.float16) for name in dtypes}
