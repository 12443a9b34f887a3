"""Trains the networks that the paper's tables compare: all from the beginning, on the same drawn people in the same
order, with the same noise, for the same number of steps.

    python -m benchmarks.train_ablation build/ablations                               all of them, one after the other
    python -m benchmarks.train_ablation build/ablations separate-reference mamba      some of them

On two cores, two processes of one thread each take half the time of one process:

    OMP_NUM_THREADS=1 ACCELERATE_USE_CPU=true python -m torch.distributed.run --standalone --nproc-per-node 2 \\
        -m benchmarks.train_ablation build/ablations

To continue after a stop, repeat the command. benchmarks.paper_tables --ablations build/ablations compares the results.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from unianimate_core import mini
from unianimate_core.config import ModelConfig
from unianimate_core.drawn_world.world import WorldSettings
from unianimate_core.model import UNet
from unianimate_core.storage.atomic import replacing
from unianimate_core.training.data.prepare import prepare_sequences, prepared_sequences
from unianimate_core.training.data.sources import DrawnPeople
from unianimate_core.training.loop.run import Run, TrainedWeights
from unianimate_core.training.loop.trainer import make_accelerator, train_run
from unianimate_core.training.loss import DenoisingLoss, empty_text
from unianimate_core.training.network.weights import NetworkWeights, new_unet
from unianimate_core.training.presets import NEW_MAMBA, Preset, preset
from unianimate_core.training.settings import RunSettings, TrainingSettings, differences, log_precision
from unianimate_core.training.states import training_lock
from unianimate_core.vae.autoencoder import open_autoencoder

from .comparison.separate_reference import SeparateReferenceUNet, metadata_of_separate

FACTS = "trained.json"
UNIFIED, WITHOUT_POSE, SEPARATE, MAMBA = KINDS = ("unified", "without-reference-pose", "separate-reference", "mamba")


class SeparateNetwork:
    """All weights of a network with a separate reference network, stored under the names of its modules."""

    file_name = NetworkWeights.file_name

    def __init__(self, unet: UNet):
        self.parameters: dict[str, nn.Parameter] = dict(unet.named_parameters())
        self.metadata = metadata_of_separate(unet.config)

    def stored(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return dict(tensors)

    def restored(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return dict(tensors)


def result_of(folder: Path, kind: str) -> Path:
    """The file of the trained network of a kind."""
    return folder / kind / NetworkWeights.file_name


def write_facts(run: Run) -> None:
    """Write, beside a finished network, what must be equal in all runs for their networks to be compared."""
    facts = run.full_identity() | {"steps": run.run_settings.steps}
    del facts["start"]
    with replacing(run.folder / FACTS) as path:
        Path(path).write_text(json.dumps(facts, indent=2))


def finished(folder: Path) -> tuple[dict[str, Path], int]:
    """The networks trained in a folder, by kind, and the number of steps of each.

    Raises ValueError if there is none, or if they were not trained the same way.
    """
    paths = {kind: folder / kind / FACTS for kind in KINDS}
    facts = {kind: json.loads(path.read_text()) for kind, path in paths.items() if path.is_file()}
    if not facts:
        raise ValueError(f"{folder} holds no network of benchmarks.train_ablation: give the folder that it trained in")
    first = next(iter(facts))
    for kind, own in facts.items():
        if different := differences(facts[first], own):
            raise ValueError(
                f"{kind} was not trained as {first} was ({'; '.join(different)}): train it with the same command"
            )
    return {kind: result_of(folder, kind) for kind in facts}, facts[first]["steps"]


def network_of(
    kind: str, config: ModelConfig, settings: TrainingSettings, device: torch.device
) -> tuple[UNet, TrainedWeights]:
    """The network at the start of training, and the weights that it trains."""
    made = {"seed": settings.seed, "dropout": settings.dropout, "device": device}
    if kind == SEPARATE:
        unet = new_unet(config, kind=SeparateReferenceUNet, **made)
        return unet, SeparateNetwork(unet)
    unet = new_unet(replace(config, mamba=NEW_MAMBA) if kind == MAMBA else config, **made)
    if kind == WITHOUT_POSE:
        unet.conditions.reference_pose.register_forward_hook(_nothing)
    return unet, NetworkWeights(unet)


def _nothing(module: nn.Module, given: tuple[Tensor, ...], features: Tensor) -> Tensor:
    """Zeros for a condition. Its encoder stays in the checkpoint and learns nothing."""
    return 0 * features


def ablation_run(kind: str, options: argparse.Namespace, chosen: Preset, accelerator: Accelerator) -> Run:
    """The run of a kind, with its data prepared in a folder that all kinds share."""
    assert chosen.network is not None, "ablations train new networks"
    settings = TrainingSettings(**(chosen.settings | {"seed": options.seed})).with_precision_for(accelerator.device)
    steps = {} if options.steps is None else {"steps": options.steps}
    run_settings = RunSettings(**(chosen.run | {"validation_clips": 0, "workers": options.workers} | steps))
    autoencoder = open_autoencoder(options.vae, accelerator.device)
    frames = max(chosen.motion_frames, settings.max_frames)
    size = settings.height, settings.width
    people = DrawnPeople(options.characters or chosen.characters, frames, *size, "train", WorldSettings(**chosen.world))
    data = options.folder / "data"
    share = accelerator.process_index, accelerator.num_processes
    prepare_sequences(people, data, autoencoder, workers=run_settings.workers, share=share)
    accelerator.wait_for_everyone()
    unet, trained = network_of(kind, chosen.network, settings, accelerator.device)
    return Run(
        folder=options.folder / kind,
        settings=settings,
        run_settings=run_settings,
        unet=unet,
        trained=trained,
        loss=DenoisingLoss(unet, empty_text(unet.config), settings),
        sequences=prepared_sequences(people, data, autoencoder),
        identity={
            "data": people.description(),
            "vae": autoencoder.identity,
            "start": {"ablation": kind, "network": asdict(unet.config)},
        },
    )


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="for all runs, one folder each, and their data")
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"of {', '.join(KINDS)} (default: all, in turn)")
    parser.add_argument(
        "--vae", default=str(mini.VAE), help="VAE file (default: the mini's), or 'linear' to try things"
    )
    parser.add_argument("--steps", type=int, help="the same for all kinds (default: the preset's)")
    parser.add_argument("--preset", default="ablation", help="network and settings (default: ablation)")
    parser.add_argument("--characters", type=int, help="how many drawn people (default: the preset's)")
    parser.add_argument("--workers", type=int, default=1, help="processes that prepare and read data (default: 1)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    unknown = [kind for kind in options.kinds if kind not in KINDS]
    if unknown:
        parser.error(f"there is no kind {unknown[0]!r}: choose from {', '.join(KINDS)}")
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    options = parse(arguments)
    chosen = preset(options.preset)
    settings = TrainingSettings(**chosen.settings)
    accelerator = make_accelerator(settings)
    options.folder.mkdir(parents=True, exist_ok=True)
    if not accelerator.is_main_process:
        _train_all(options, chosen, accelerator)
        return
    log_precision(settings.with_precision_for(accelerator.device).precision, accelerator.device)
    with training_lock(options.folder):
        _train_all(options, chosen, accelerator)


def _train_all(options: argparse.Namespace, chosen: Preset, accelerator: Accelerator) -> None:
    for kind in options.kinds or KINDS:
        run = ablation_run(kind, options, chosen, accelerator)
        result = train_run(run, accelerator)
        if accelerator.is_main_process:
            write_facts(run)
            print(f"wrote {result}")
        accelerator.free_memory()


if __name__ == "__main__":
    main()
