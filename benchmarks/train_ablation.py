"""Trains the networks that the paper's tables compare among equals: from the beginning, on the same drawn people, in
the same order, with the same noise, for as many steps.

    python -m benchmarks.train_ablation build/ablations                               all of them, one after the other
    python -m benchmarks.train_ablation build/ablations separate-reference mamba      some of them

On two cores two processes of one thread each take half the time of one process:

    OMP_NUM_THREADS=1 ACCELERATE_USE_CPU=true python -m torch.distributed.run --standalone --nproc-per-node 2 \\
        -m benchmarks.train_ablation build/ablations

To continue where it was stopped, repeat the command. benchmarks.paper_tables --ablations build/ablations compares them.
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
from unianimate_core.training.command import MAMBA as MAMBA_CONFIG
from unianimate_core.training.data.prepare import prepare, prepared
from unianimate_core.training.data.sources import DrawnPeople
from unianimate_core.training.loop.job import Job, Trained
from unianimate_core.training.loop.trainer import make_accelerator, train
from unianimate_core.training.loss import DenoisingLoss, empty_text
from unianimate_core.training.network.weights import NetworkWeights, new_unet
from unianimate_core.training.presets import Preset, preset
from unianimate_core.training.settings import RunSettings, TrainingSettings, differences
from unianimate_core.training.states import only_trainer
from unianimate_core.vae.autoencoder import open_autoencoder

from .comparison.separate_reference import SeparateReferenceUNet, metadata_of_separate

FACTS = "trained.json"
UNIFIED, WITHOUT_POSE, SEPARATE, MAMBA = KINDS = ("unified", "without-reference-pose", "separate-reference", "mamba")


class SeparateNetwork:
    """All weights of a network with a reference network of its own, stored by the names of its modules."""

    file_name = NetworkWeights.file_name

    def __init__(self, unet: UNet):
        self.parameters: dict[str, nn.Parameter] = dict(unet.named_parameters())
        self.metadata = metadata_of_separate(unet.config)

    def stored(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return dict(tensors)

    def restored(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return dict(tensors)


def result_of(folder: Path, kind: str) -> Path:
    """Where training leaves the network of a kind."""
    return folder / kind / NetworkWeights.file_name


def write_facts(job: Job) -> None:
    """Beside a finished network, what must be the same in all runs for their networks to be compared."""
    facts = job.whole_identity() | {"steps": job.run.steps}
    del facts["start"]
    with replacing(job.folder / FACTS) as path:
        Path(path).write_text(json.dumps(facts, indent=2))


def finished(folder: Path) -> tuple[dict[str, Path], int]:
    """The networks that were trained in a folder, by kind, and for how many steps each.

    Raises ValueError where there is none, or where they were not trained alike.
    """
    paths = {kind: folder / kind / FACTS for kind in KINDS}
    facts = {kind: json.loads(path.read_text()) for kind, path in paths.items() if path.is_file()}
    if not facts:
        raise ValueError(f"{folder} holds no network of benchmarks.train_ablation: give the folder that was trained in")
    first = next(iter(facts))
    for kind, own in facts.items():
        if different := differences(facts[first], own):
            raise ValueError(
                f"{kind} was not trained as {first} was ({'; '.join(different)}): train it by the same command"
            )
    return {kind: result_of(folder, kind) for kind in facts}, facts[first]["steps"]


def network_of(
    kind: str, config: ModelConfig, settings: TrainingSettings, device: torch.device
) -> tuple[UNet, Trained]:
    """The network as training starts, and how it is stored."""
    made = {"seed": settings.seed, "dropout": settings.dropout, "device": device}
    if kind == SEPARATE:
        unet = new_unet(config, kind=SeparateReferenceUNet, **made)
        return unet, SeparateNetwork(unet)
    unet = new_unet(replace(config, mamba=MAMBA_CONFIG) if kind == MAMBA else config, **made)
    if kind == WITHOUT_POSE:
        unet.conditions.reference_pose.register_forward_hook(_nothing)
    return unet, NetworkWeights(unet)


def _nothing(module: nn.Module, given: tuple[Tensor, ...], features: Tensor) -> Tensor:
    """A condition that never says anything: its encoder keeps the checkpoint's form and learns nothing."""
    return 0 * features


def ablation_job(kind: str, options: argparse.Namespace, chosen: Preset, accelerator: Accelerator) -> Job:
    """The run of a kind. Its data is prepared on the way, in a folder that all kinds share."""
    assert chosen.network is not None, "ablations are trained from the beginning"
    settings = TrainingSettings(**(chosen.settings | {"seed": options.seed}))
    steps = {} if options.steps is None else {"steps": options.steps}
    run = RunSettings(**(chosen.run | {"validation_clips": 0, "workers": options.workers} | steps))
    autoencoder = open_autoencoder(options.vae, accelerator.device)
    frames = max(chosen.motion_frames, settings.longest)
    size = settings.height, settings.width
    people = DrawnPeople(options.characters or chosen.characters, frames, *size, "train", WorldSettings(**chosen.world))
    data = options.folder / "data"
    share = accelerator.process_index, accelerator.num_processes
    prepare(people, data, autoencoder, workers=run.workers, share=share)
    accelerator.wait_for_everyone()
    unet, trained = network_of(kind, chosen.network, settings, accelerator.device)
    return Job(
        folder=options.folder / kind,
        settings=settings,
        run=run,
        unet=unet,
        trained=trained,
        loss=DenoisingLoss(unet, empty_text(unet.config), settings),
        sequences=prepared(people, data, autoencoder),
        identity={
            "data": people.description(),
            "vae": autoencoder.identity,
            "start": {"ablation": kind, "network": asdict(unet.config)},
        },
    )


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="of all runs, one folder each, and of their data")
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
    accelerator = make_accelerator(TrainingSettings(**chosen.settings))
    options.folder.mkdir(parents=True, exist_ok=True)
    if not accelerator.is_main_process:
        _train_all(options, chosen, accelerator)
        return
    with only_trainer(options.folder):
        _train_all(options, chosen, accelerator)


def _train_all(options: argparse.Namespace, chosen: Preset, accelerator: Accelerator) -> None:
    for kind in options.kinds or KINDS:
        job = ablation_job(kind, options, chosen, accelerator)
        result = train(job, accelerator)
        if accelerator.is_main_process:
            write_facts(job)
            print(f"wrote {result}")
        accelerator.free_memory()


if __name__ == "__main__":
    main()
