"""From a command's options to a run."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from ..config import MambaConfig
from ..content_hash import weights_hash
from ..encoders import ClipEncoder
from ..model import UNet
from ..run_lock import run_lock
from .data.autoencoders import Autoencoder, open_autoencoder
from .data.prepare import prepare, prepared
from .data.sequences import PreparedSequence
from .data.sources import DrawnPeople, Source, VideoFolder
from .loop.job import Job, Trained
from .loop.trainer import make_accelerator, train
from .loop.validation import Validation
from .loss import DenoisingLoss, DistillationLoss, empty_text
from .network.lora import LoraAdapters
from .network.weights import NetworkWeights, loaded_unet, new_unet
from .presets import Preset, preset
from .settings import RunSettings, TrainingError, TrainingSettings

DRAWN = "drawn"
MAMBA = MambaConfig(expand=1, keep_ff=False)  # of a new network


def run_training(options: argparse.Namespace, settings: Mapping[str, Any], run: Mapping[str, Any]) -> Path | None:
    """Train as the options of `train` say; the file of the result, or None in all processes but the main one.

    settings, run: what was set by hand of TrainingSettings and RunSettings. Raises as loop.trainer.train does.
    """
    chosen = preset(options.preset)
    settings = chosen.settings | dict(settings) | ({"part": "temporal"} if options.distil else {})
    training = TrainingSettings(**settings)
    how = RunSettings(**(chosen.run | dict(run)))
    accelerator = make_accelerator(training)
    options.folder.mkdir(parents=True, exist_ok=True)
    busy = f"{options.folder} is trained in by {{holder}}: wait until it is finished, or give a new folder"
    if not accelerator.is_main_process:
        return _run(options, chosen, training, how, accelerator)
    with run_lock(options.folder, busy):
        return _run(options, chosen, training, how, accelerator)


def _run(
    options: argparse.Namespace, chosen: Preset, settings: TrainingSettings, run: RunSettings, accelerator: Accelerator
) -> Path | None:
    autoencoder = open_autoencoder(options.vae, accelerator.device)
    clip = None if options.clip is None else ClipEncoder(options.clip, device=accelerator.device)
    unet, start = _network(options, chosen, settings, accelerator.device)
    source, validation_source = _sources(options, chosen, settings, run)
    cache = options.cache or options.folder / "data"

    def sequences(of: Source | None) -> list[PreparedSequence]:
        if of is None:
            return []
        share = accelerator.process_index, accelerator.num_processes
        prepare(of, cache, autoencoder, clip=clip, workers=run.workers, share=share)
        accelerator.wait_for_everyone()
        return prepared(of, cache, autoencoder, clip)

    training_sequences, validation_sequences = sequences(source), sequences(validation_source)
    text = empty_text(unet.config) if clip is None else clip.empty_text().cpu()
    if clip is not None:
        clip.free()
    loss: DenoisingLoss | DistillationLoss = DenoisingLoss(unet, text, settings)
    if options.distil is not None:
        teacher = loaded_unet(options.distil, dropout=0.0, device=accelerator.device).requires_grad_(False).eval()
        loss, start = DistillationLoss(teacher, unet, text), start | {"teacher": weights_hash(teacher.state_dict())}
    job = Job(
        folder=options.folder,
        settings=settings,
        run=run,
        unet=unet,
        trained=_trained(unet, settings),
        loss=loss,
        sequences=training_sequences,
        validate=_validation(options.folder, validation_sequences, autoencoder, text, settings, run),
        identity={"data": source.description(), "vae": autoencoder.identity, "start": start},
    )
    result = train(job, accelerator)
    return result if accelerator.is_main_process else None


def _sources(
    options: argparse.Namespace, chosen: Preset, settings: TrainingSettings, run: RunSettings
) -> tuple[Source, Source | None]:
    """What is trained on, and what is validated on."""
    validates = run.validation_clips > 0
    if options.data == DRAWN:
        from .characters import WorldSettings

        world, frames = WorldSettings(**chosen.world), max(chosen.motion_frames, settings.longest)
        count = chosen.characters if options.characters is None else options.characters
        if options.characters is None and not count:
            raise TrainingError(f"preset {options.preset} draws nobody: give --characters, or videos by --data")
        size = settings.height, settings.width
        training = DrawnPeople(count, frames, *size, "train", world)
        validation = DrawnPeople(run.validation_clips, frames, *size, "validation", world) if validates else None
        return training, validation
    training = VideoFolder(options.data, settings.height, settings.width, settings.longest)
    if options.validation_data is None or not validates:
        return training, None
    return training, VideoFolder(options.validation_data, settings.height, settings.width, 2)


def _network(
    options: argparse.Namespace, chosen: Preset, settings: TrainingSettings, device: torch.device
) -> tuple[UNet, dict[str, Any]]:
    """The network as training starts, and what the run records of it."""
    if options.init is not None:
        unet = loaded_unet(options.init, dropout=settings.dropout, device=device)
        return unet, {"checkpoint": weights_hash(unet.state_dict())}
    if chosen.network is None:
        raise TrainingError(f"preset {options.preset} trains a network further: give its checkpoint by --init")
    if settings.lora_rank or options.distil is not None:
        kind = "a LoRA" if settings.lora_rank else "a student, made by to-mamba,"
        raise TrainingError(f"{kind} is trained on a network that is there: give its checkpoint by --init")
    network = chosen.network if options.temporal == "transformer" else replace(chosen.network, mamba=MAMBA)
    unet = new_unet(network, seed=settings.seed, dropout=settings.dropout, device=device)
    return unet, {"network": asdict(network)}


def _trained(unet: UNet, settings: TrainingSettings) -> Trained:
    if settings.lora_rank:
        return LoraAdapters(unet, settings.lora_rank, settings.seed)
    return NetworkWeights(unet, settings.part)


def _validation(
    folder: Path,
    sequences: list[PreparedSequence],
    autoencoder: Autoencoder,
    text: torch.Tensor,
    settings: TrainingSettings,
    run: RunSettings,
) -> Validation | None:
    if not sequences:
        return None
    clips = sequences[: run.validation_clips]
    return Validation(folder / "validation", clips, autoencoder, text, run, settings.offset_noise, settings.seed)
