"""python -m unianimate_core train."""

from __future__ import annotations

import argparse
from pathlib import Path

DESCRIPTION = """\
Train a network, or train one further, on drawn people or on a folder of videos with keypoints beside them.
To continue a run that stopped for any reason, repeat its command. On several GPUs or machines, replace `python -m`
by `accelerate launch -m`.
"""

# Options that set fields of TrainingSettings and RunSettings, with their types.
SETTINGS = {
    "width": (int, "of clips, in pixels"),
    "height": (int, "of clips, in pixels"),
    "batch": (int, "clips per step, over all processes together"),
    "optimizer": (str, "adamw or muon"),
    "learning_rate": (float, "the value after --warm-up steps"),
    "warm_up": (int, "steps until the full learning rate"),
    "largest_stride": (int, "a clip takes every n-th frame of its video, n from 1 to this"),
    "weighting": (str, "of timesteps: v, min_snr or x0"),
    "condition_drop": (float, "chance of dropping each condition"),
    "first_frame_drop": (float, "chance of dropping the first frame"),
    "ema_decay": (float, "of the EMA of the weights; 0 turns it off"),
    "dropout": (float, "in residual blocks"),
    "precision": (str, "auto (default: bf16 on a GPU or a CPU that computes in bf16, else fp32), bf16, fp16 or fp32"),
    "part": (str, "of the network to train: all or temporal"),
    "seed": (int, "of everything random"),
}
RUN = {
    "steps": (int, "the step at which the run ends"),
    "cool_down": (float, "share of the steps, the last ones, over which the learning rate falls to 0"),
    "clips_at_once": (int, "clips per pass of one process; 0 takes the whole batch"),
    "save_every": (int, "steps between two states"),
    "kept_states": (int, "number of newest states to keep"),
    "validate_every": (int, "steps between two validations"),
    "validation_clips": (int, "videos made in each validation; 0 for none"),
    "validation_frames": (int, "frames of each validation video"),
    "workers": (int, "processes that prepare and read data"),
}
JOB = ("preset", "data", "validation_data", "vae", "clip", "init", "distill", "lora", "temporal", "characters", "cache")


def add_train(commands) -> None:
    command = commands.add_parser(
        "train", help="train a network, or train one further", description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    command.add_argument("folder", type=Path, metavar="RUN", help="folder of the run: its states, curves and result")
    command.add_argument("--preset", default="paper", help="named settings, which the other options override")
    command.add_argument("--data", default="drawn", help="a folder of videos, or 'drawn' for drawn people (default)")
    command.add_argument("--validation-data", type=Path, help="a folder of videos to validate on")
    command.add_argument("--vae", required=True, help="VAE file; 'linear' is a stand-in without weights, to try things")
    command.add_argument("--clip", type=Path, help="open_clip_pytorch_model.bin, for image embedding and empty prompt")
    command.add_argument("--init", type=Path, help="checkpoint to start from, instead of a new network")
    command.add_argument("--lora", type=int, metavar="RANK", help="train a LoRA of this rank instead of the weights")
    command.add_argument("--distill", type=Path, metavar="TEACHER", help="train each temporal Mamba on its teacher's")
    command.add_argument("--temporal", choices=("transformer", "mamba"), default="transformer", help="of a new network")
    command.add_argument("--frames", type=int, nargs="+", help="clip lengths; each step draws one of them")
    command.add_argument("--characters", type=int, help="number of drawn people")
    command.add_argument("--cache", type=Path, help="folder of prepared data (default: within the run's folder)")
    command.add_argument("--gradient-checkpointing", action=argparse.BooleanOptionalAction, default=None,
                         help="compute activations twice, to save memory")  # fmt: skip
    for name, (kind, text) in {**SETTINGS, **RUN}.items():
        command.add_argument(f"--{name.replace('_', '-')}", type=kind, help=text)
    command.set_defaults(run=_train)


def _train(options: argparse.Namespace) -> None:
    from ..training import TrainingJob, train

    given = {name: value for name, value in vars(options).items() if value is not None}
    job = TrainingJob(
        options.folder,
        settings={name: given[name] for name in (*SETTINGS, "frames") if name in given},
        run={name: given[name] for name in (*RUN, "gradient_checkpointing") if name in given},
        **{name: given[name] for name in JOB if name in given},
    )
    result = train(job)
    if result is not None:
        print(f"wrote {result} ({result.stat().st_size:,} bytes)")
