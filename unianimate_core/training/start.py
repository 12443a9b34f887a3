"""From a TrainingJob to a run that trains: loads the models, prepares the data, and hands both to the loop."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ..animator import RELEASED_CONTEXT
from ..config import ModelConfig
from ..encoders import ClipEncoder
from ..model import UNet
from ..storage.content_hash import weights_hash
from ..vae.autoencoder import Autoencoder, open_autoencoder
from .data.prepare import prepare_sequences, prepared_sequences
from .data.sequences import PreparedSequence
from .data.sources import DrawnPeople, Source, VideoFolder
from .job import TrainingJob
from .loop.curves import require_tensorboard
from .loop.run import Run, TrainedWeights
from .loop.trainer import make_accelerator, train_run
from .loss import DenoisingLoss, DistillationLoss, empty_text
from .network.lora import LoraAdapters
from .network.weights import NetworkWeights, loaded_unet, new_unet
from .presets import NEW_MAMBA
from .settings import RunSettings, TrainingError, TrainingSettings, log_precision
from .states import States, training_lock

if TYPE_CHECKING:
    from accelerate import Accelerator


def train(job: TrainingJob) -> Path | None:
    """Train a job to its end. Returns the file of the result, or None in all processes but the main one.

    If the job was stopped before, it continues from its newest state. Raises TrainingError if the job cannot be
    trained, its folder holds another run, a loss is not finite, a signal asked to stop, or the device has too little
    memory; RunBusy if another process trains in the folder; OSError if a state cannot be written; FileNotFoundError or
    CheckpointError for a wrong file; ImportError if a package for training is missing. The newest state always stays.
    """
    require_tensorboard()  # before anything takes long
    accelerator = make_accelerator(job.training_settings)
    settings = job.training_settings.with_precision_for(accelerator.device)
    if accelerator.is_main_process:
        log_precision(settings.precision, accelerator.device)
    folder = Path(job.folder)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with training_lock(folder) if accelerator.is_main_process else nullcontext():
            result = train_run(make_run(job, settings, accelerator), accelerator)
    except torch.OutOfMemoryError as error:
        raise TrainingError(
            f"{accelerator.device} has too little memory: set clips_at_once to 1 and gradient_checkpointing, or, in a "
            "new folder, take fewer frames or a smaller width and height"
        ) from error
    return result if accelerator.is_main_process else None


def make_run(job: TrainingJob, settings: TrainingSettings, accelerator: Accelerator) -> Run:
    """The run of a job, with its data prepared.

    Preparing may take hours, so everything that can be refused is refused before.
    """
    device, folder = accelerator.device, Path(job.folder)
    autoencoder = open_autoencoder(job.vae, device)
    clip = None if job.clip is None else ClipEncoder(job.clip, device=device)
    unet, start = _load_network(job, settings, device)
    source, validation_source = _sources(job, settings)
    text = _empty_prompt(job, unet.config, clip)
    loss: nn.Module = DenoisingLoss(unet, text, settings)
    networks = [unet]
    if job.distill is not None:
        teacher = loaded_unet(job.distill, dropout=0.0, device=device).requires_grad_(False).eval()
        loss, start = DistillationLoss(teacher, unet, text), start | {"teacher": weights_hash(teacher.state_dict())}
        networks.append(teacher)
    run = Run(
        folder=folder,
        settings=settings,
        run_settings=job.run_settings,
        unet=unet,
        trained=_trained_weights(unet, settings),
        loss=loss,
        sequences=[],
        identity={"data": source.description(), "vae": autoencoder.identity, "start": start},
    )
    States(folder / "states", run.full_identity(), job.run_settings.kept_states).newest()  # raises for another run's

    cache = folder / "data" if job.cache is None else job.cache
    with _in_main_memory(networks, device):  # VAE and CLIP have the device to themselves
        run = replace(run, sequences=_prepare(source, cache, autoencoder, clip, job.run_settings, accelerator))
        if validation_source is not None:
            from .loop.validation import Validation  # needs accelerate

            sequences = _prepare(validation_source, cache, autoencoder, clip, job.run_settings, accelerator)
            validation = Validation(
                folder=folder / "validation",
                sequences=sequences,
                autoencoder=autoencoder,
                text=text,
                run=job.run_settings,
                offset_noise=settings.offset_noise,
                seed=settings.seed,
            )
            run = replace(run, validate=validation)
        if clip is not None:
            clip.free()
    return run


@contextmanager
def _in_main_memory(networks: list[UNet], device: torch.device) -> Iterator[None]:
    for network in networks:
        network.cpu()
    yield
    for network in networks:
        network.to(device)


def _prepare(
    source: Source,
    cache: str | os.PathLike,
    autoencoder: Autoencoder,
    clip: ClipEncoder | None,
    run_settings: RunSettings,
    accelerator: Accelerator,
) -> list[PreparedSequence]:
    """All sequences of a source. Each process encodes its share of them."""
    share = accelerator.process_index, accelerator.num_processes
    prepare_sequences(source, cache, autoencoder, clip=clip, workers=run_settings.workers, share=share)
    accelerator.wait_for_everyone()
    return prepared_sequences(source, cache, autoencoder, clip)


def _empty_prompt(job: TrainingJob, config: ModelConfig, clip: ClipEncoder | None) -> Tensor:
    """The states of the empty prompt, or zeros for a network that is trained without CLIP from the beginning."""
    if clip is None and job.init is not None and config.context_dim == RELEASED_CONTEXT:
        raise TrainingError(
            f"{Path(job.init).name} works with OpenCLIP's states: give open_clip_pytorch_model.bin as clip"
        )
    text = empty_text(config) if clip is None else clip.empty_text().cpu()
    if clip is not None and text.shape[-1] != config.context_dim:
        raise TrainingError(
            f"{clip.path.name} makes states of {text.shape[-1]} numbers, the network takes {config.context_dim}: "
            "leave clip out"
        )
    return text


def _sources(job: TrainingJob, settings: TrainingSettings) -> tuple[Source, Source | None]:
    """The data to train on, and the data to validate on."""
    clips = job.run_settings.validation_clips
    if job.draws_people:
        return _drawn_people(job, settings, clips)
    size, own = (settings.height, settings.width), Path(job.folder) / "validation"
    training = VideoFolder(job.data, *size, settings.max_frames, excluded=own)
    if job.validation_data is None or clips == 0:
        return training, None
    return training, VideoFolder(job.validation_data, *size, 2, excluded=own, max_sequences=clips)


def _drawn_people(
    job: TrainingJob, settings: TrainingSettings, validation_clips: int
) -> tuple[DrawnPeople, DrawnPeople | None]:
    from ..drawn_world.characters import WorldSettings

    count = job.base.characters if job.characters is None else job.characters
    frames, world = max(job.base.motion_frames, settings.max_frames), WorldSettings(**job.base.world)
    training = DrawnPeople(count, frames, settings.height, settings.width, "train", world)
    if validation_clips == 0:
        return training, None
    return training, replace(training, count=validation_clips, split="validation")


def _load_network(job: TrainingJob, settings: TrainingSettings, device: torch.device) -> tuple[UNet, dict[str, Any]]:
    """The network at the start of training, and what the run's identity records of it."""
    if job.init is not None:
        unet = loaded_unet(job.init, dropout=settings.dropout, device=device)
        return unet, {"checkpoint": weights_hash(unet.state_dict())}
    network = job.base.network
    assert network is not None, "TrainingJob asks for init"
    if job.temporal == "mamba":
        network = replace(network, mamba=NEW_MAMBA)
    unet = new_unet(network, seed=settings.seed, dropout=settings.dropout, device=device)
    return unet, {"network": asdict(network)}


def _trained_weights(unet: UNet, settings: TrainingSettings) -> TrainedWeights:
    if settings.lora_rank:
        return LoraAdapters(unet, settings.lora_rank, settings.seed)
    return NetworkWeights(unet, settings.part)
