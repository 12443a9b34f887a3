"""A run learns, alone and in several processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from safetensors.torch import load_file

from tests.support import ROOT
from tests.support.training import RUN, SETTINGS, make_run
from unianimate_core.training.loop.trainer import make_accelerator, train_run


@pytest.mark.slow
def test_a_tiny_network_learns_one_clip_by_heart(tmp_path):
    """Loss, conditions, optimizer and learning rate work together: the error falls to a small part."""
    settings = replace(SETTINGS, dropout=0.0, learning_rate=3e-3, weighting="x0", condition_drop=0.0, all_dropped=0.0)
    run = make_run(tmp_path / "run", settings, replace(RUN, steps=80, save_every=1000))
    train_run(replace(run, sequences=run.sequences[:1]), make_accelerator(settings))
    lines = [json.loads(line) for line in (tmp_path / "run" / "curves" / "curves.jsonl").read_text().splitlines()]
    losses = [line["loss/all"] for line in lines]
    assert losses[-1] < 0.35 * losses[0]
    assert np.isfinite(losses).all()


LAUNCHED = """
import sys
from pathlib import Path
from dataclasses import replace
import torch
from tests.support.training import RUN, SETTINGS, make_run
from unianimate_core.training.loop.trainer import make_accelerator, train_run

torch.set_num_threads(1)
settings = replace(SETTINGS, dropout=0.0)
accelerator = make_accelerator(settings)
assert accelerator.num_processes == int(sys.argv[2])
train_run(make_run(Path(sys.argv[1]), settings, replace(RUN, steps=1)), accelerator)
"""


@pytest.mark.slow
def test_two_processes_train_as_one(tmp_path):
    """As accelerate launch starts them on GPUs. Their gradient is that of one process, and only one writes."""
    (tmp_path / "program.py").write_text(LAUNCHED)
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
    for processes in ("1", "2"):
        given = [str(tmp_path / "program.py"), str(tmp_path / processes), processes]
        run = [sys.executable, *given] if processes == "1" else [*launch, processes, *given]
        subprocess.run(run, cwd=ROOT, env=environment, check=True, capture_output=True)
    one, two = (load_file(tmp_path / name / "states/step_00000001/optimizer.safetensors") for name in "12")
    gradients = [name for name in one if name.endswith("exp_avg")]
    different = sum((one[name] - two[name]).square().sum() for name in gradients)
    assert different < 1e-8 * sum(one[name].square().sum() for name in gradients)
