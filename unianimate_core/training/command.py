"""From a command's options to a run."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
import torch.utils.tensorboard  # the curves need it: where it is missing, that is told at once
from accelerate import Accelerator
from torch import Tensor, nn

from ..config import MambaConfig, ModelConfig
from ..encoders import ClipEncoder
from ..model import UNet
from ..storage.content_hash import weights_hash
from ..vae.autoencoder import Autoencoder, open_autoencoder
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
from .states import States, only_trainer

DRAWN = "drawn"
MAMBA = MambaConfig(expand=1, keep_ff=False)  # of a new network
CLIP_WIDTH = 1024  # of OpenCLIP's states, which the released network was trained with


def run_training(options: argparse.Namespace, settings: Mapping[str, Any], run: Mapping[str, Any]) -> Path | None:
    """Train as the options of `train` say; the file of the result, or None in all processes but the main one.

    settings, run: what was set by hand of TrainingSettings and RunSettings. Raises as loop.trainer.train does, and
    TrainingError where the device has too little memory.
    """
    chosen = preset(options.preset)
    settings = chosen.settings | dict(settings) | ({"part": "temporal"} if options.distil else {})
    training = TrainingSettings(**settings)
    how = RunSettings(**(chosen.run | dict(run)))
    accelerator = make_accelerator(training)
    options.folder.mkdir(parents=True, exist_ok=True)
    try:
        with only_trainer(options.folder) if accelerator.is_main_process else nullcontext():
            result = train(_job(options, chosen, training, how, accelerator), accelerator)
    except torch.OutOfMemoryError as error:
        raise TrainingError(
            f"{accelerator.device} has too little memory: give --clips-at-once 1 and --gradient-checkpointing, or, in "
            "a new folder, fewer --frames or a smaller --width and --height"
        ) from error
    return result if accelerator.is_main_process else None


def _job(
    options: argparse.Namespace, chosen: Preset, settings: TrainingSettings, run: RunSettings, accelerator: Accelerator
) -> Job:
    """The run, its data prepared. That may take hours, so all that can be refused is refused before."""
    autoencoder = open_autoencoder(options.vae, accelerator.device)
    clip = None if options.clip is None else ClipEncoder(options.clip, device=accelerator.device)
    unet, start = _network(options, chosen, settings, accelerator.device)
    source, validation_source = _sources(options, chosen, settings, run)
    text = _text(options, unet.config, clip)
    loss: nn.Module = DenoisingLoss(unet, text, settings)
    networks = [unet]
    if options.distil is not None:
        teacher = loaded_unet(options.distil, dropout=0.0, device=accelerator.device).requires_grad_(False).eval()
        loss, start = DistillationLoss(teacher, unet, text), start | {"teacher": weights_hash(teacher.state_dict())}
        networks.append(teacher)
    job = Job(
        folder=options.folder,
        settings=settings,
        run=run,
        unet=unet,
        trained=_trained(unet, settings),
        loss=loss,
        sequences=[],
        identity={"data": source.description(), "vae": autoencoder.identity, "start": start},
    )
    States(job.folder / "states", job.whole_identity(), run.kept_states).newest()  # raises where they are another run's

    cache = options.cache or options.folder / "data"
    with _in_main_memory(networks, accelerator.device):  # VAE and CLIP have the device to themselves
        job = replace(job, sequences=_prepared(source, cache, autoencoder, clip, run, accelerator))
        if validation_source is not None:
            shown = _prepared(validation_source, cache, autoencoder, clip, run, accelerator)
            folder, noise = options.folder / "validation", settings.offset_noise
            job = replace(job, validate=Validation(folder, shown, autoencoder, text, run, noise, settings.seed))
        if clip is not None:
            clip.free()
    return job


@contextmanager
def _in_main_memory(networks: list[UNet], device: torch.device) -> Iterator[None]:
    for network in networks:
        network.cpu()
    yield
    for network in networks:
        network.to(device)


def _prepared(
    source: Source,
    cache: Path,
    autoencoder: Autoencoder,
    clip: ClipEncoder | None,
    run: RunSettings,
    accelerator: Accelerator,
) -> list[PreparedSequence]:
    """All sequences, each encoded by one of the processes."""
    share = accelerator.process_index, accelerator.num_processes
    prepare(source, cache, autoencoder, clip=clip, workers=run.workers, share=share)
    accelerator.wait_for_everyone()
    return prepared(source, cache, autoencoder, clip)


def _text(options: argparse.Namespace, config: ModelConfig, clip: ClipEncoder | None) -> Tensor:
    """The states of the empty prompt, or zeros for a network that is trained without CLIP from its beginning."""
    if clip is None and options.init is not None and config.context_dim == CLIP_WIDTH:
        raise TrainingError(
            f"{options.init.name} works with OpenCLIP's states: give its file, open_clip_pytorch_model.bin, by --clip"
        )
    text = empty_text(config) if clip is None else clip.empty_text().cpu()
    if text.shape[-1] != config.context_dim:
        raise TrainingError(
            f"{options.clip.name} makes states of {text.shape[-1]} numbers, the network takes {config.context_dim}: "
            "leave --clip out"
        )
    return text


def _sources(
    options: argparse.Namespace, chosen: Preset, settings: TrainingSettings, run: RunSettings
) -> tuple[Source, Source | None]:
    """What is trained on, and what is validated on."""
    validates = run.validation_clips > 0
    if options.data == DRAWN:
        from ..drawn_world.characters import WorldSettings

        world, frames = WorldSettings(**chosen.world), max(chosen.motion_frames, settings.longest)
        count = chosen.characters if options.characters is None else options.characters
        if options.characters is None and not count:
            raise TrainingError(f"preset {options.preset} draws nobody: give --characters, or videos by --data")
        size = settings.height, settings.width
        training = DrawnPeople(count, frames, *size, "train", world)
        validation = DrawnPeople(run.validation_clips, frames, *size, "validation", world) if validates else None
        return training, validation
    size, own = (settings.height, settings.width), options.folder / "validation"
    training = VideoFolder(options.data, *size, settings.longest, but_not=own)
    if options.validation_data is None or not validates:
        return training, None
    return training, VideoFolder(options.validation_data, *size, 2, but_not=own, most=run.validation_clips)


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
