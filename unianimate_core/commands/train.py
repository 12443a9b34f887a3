"""python -m unianimate_core train."""

from __future__ import annotations

import argparse
from pathlib import Path

DESCRIPTION = """\
Train a network, or train one further: on drawn people, or on a folder of videos with key points beside them.
To continue a run that was stopped, at whatever moment, repeat its command. On several GPUs or machines, put
`accelerate launch -m` in place of `python -m`.
"""

# Options that set fields of TrainingSettings and RunSettings, with their types.
SETTINGS = {
    "width": (int, "of clips, in pixels"),
    "height": (int, "of clips, in pixels"),
    "batch": (int, "clips a step, over all processes together"),
    "optimizer": (str, "adamw or muon"),
    "rate": (float, "learning rate"),
    "warm_up": (int, "steps until the full rate"),
    "largest_stride": (int, "a clip takes every n-th frame of its video, n from 1 to this"),
    "weighting": (str, "of timesteps: v, min_snr or x0"),
    "condition_drop": (float, "chance of each condition to be dropped"),
    "first_frame_drop": (float, "chance of the first frame to be dropped"),
    "ema_decay": (float, "of the mean of the weights, 0 for none"),
    "dropout": (float, "in residual blocks"),
    "precision": (str, "of computing: fp32, bf16 or fp16"),
    "part": (str, "of the network that is trained: all or temporal"),
    "seed": (int, "of everything random"),
}
RUN = {
    "steps": (int, "where the run ends"),
    "cool_down": (float, "share of the steps, the last ones, over which the rate falls to 0"),
    "clips_at_once": (int, "in one pass of one process; 0 takes the whole batch"),
    "save_every": (int, "steps"),
    "kept_states": (int, "how many of the newest states stay"),
    "validate_every": (int, "steps"),
    "validation_clips": (int, "videos made at each validation; 0 for none"),
    "validation_frames": (int, "of each of them"),
    "workers": (int, "processes that prepare and read data"),
}


DRAWN = "drawn"  # in place of a folder of videos


def add_train(commands) -> None:
    command = commands.add_parser(
        "train", help="train a network, or train one further", description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    command.add_argument("folder", type=Path, metavar="RUN", help="folder of the run: its states, curves and result")
    command.add_argument("--preset", default="paper", help="named settings, which the other options override")
    command.add_argument("--data", default=DRAWN, help="a folder of videos, or 'drawn' for drawn people (default)")
    command.add_argument("--validation-data", type=Path, help="a folder of videos that are not trained on")
    command.add_argument("--vae", required=True, help="VAE file; 'linear' is a stand-in without weights, to try things")
    command.add_argument("--clip", type=Path, help="open_clip_pytorch_model.bin, for image embedding and empty prompt")
    command.add_argument("--init", type=Path, help="checkpoint to start from, instead of a new network")
    command.add_argument("--lora", type=int, metavar="RANK", help="train a LoRA of this rank instead of all weights")
    command.add_argument("--distil", type=Path, metavar="TEACHER", help="train each temporal Mamba on its teacher's")
    command.add_argument("--temporal", choices=("transformer", "mamba"), default="transformer", help="of a new network")
    command.add_argument("--frames", type=int, nargs="+", help="lengths of clips, one of which is drawn for each step")
    command.add_argument("--characters", type=int, help="how many drawn people")
    command.add_argument("--cache", type=Path, help="folder of prepared data (default: in the run's folder)")
    command.add_argument("--gradient-checkpointing", action=argparse.BooleanOptionalAction, default=None,
                         help="compute activations twice, to save memory")  # fmt: skip
    for name, (kind, text) in {**SETTINGS, **RUN}.items():
        command.add_argument(f"--{name.replace('_', '-')}", type=kind, help=text)
    command.set_defaults(run=_train)


def _train(options: argparse.Namespace) -> None:
    _refuse_what_would_be_ignored(options)
    try:
        from ..training.command import run_training
    except ModuleNotFoundError as error:
        raise ImportError(
            f"training needs {error.name}, which is not installed: "
            'run pip install -e ".[pose,training,video]" in the folder of this pack'
        ) from error

    settings = {name: getattr(options, name) for name in (*SETTINGS, "frames") if getattr(options, name) is not None}
    if options.lora is not None:
        settings["lora_rank"] = options.lora
    run = {
        name: getattr(options, name) for name in (*RUN, "gradient_checkpointing") if getattr(options, name) is not None
    }
    result = run_training(options, settings, run)
    if result is not None:
        print(f"wrote {result} ({result.stat().st_size:,} bytes)")


def _refuse_what_would_be_ignored(options: argparse.Namespace) -> None:
    """Raises ValueError for options that would silently do nothing beside others."""
    drawn, lora, init, distil = options.data == DRAWN, options.lora is not None, options.init, options.distil
    refusals = {
        f"--lora is {options.lora}: give a rank of 1 or more, or leave it out to train the weights themselves": (
            lora and options.lora < 1
        ),
        "--lora adapts a network whose weights stay, --distil trains weights: leave one of them out": lora and distil,
        "--lora adapts spatial and temporal transformers alike: leave out --part temporal": (
            lora and options.part == "temporal"
        ),
        "--distil trains the temporal modules alone: leave out --part all": distil and options.part == "all",
        "--temporal mamba is for a new network: make a checkpoint of that kind with to-mamba, and give it by --init": (
            options.temporal == "mamba" and init
        ),
        "--validation-data is for videos: leave it out with drawn people, of whom others are drawn for that": (
            drawn and options.validation_data
        ),
        f"--characters {options.characters} is for drawn people: leave it out with --data FOLDER": (
            not drawn and options.characters is not None
        ),
    }
    for sentence, applies in refusals.items():
        if applies:
            raise ValueError(sentence)
