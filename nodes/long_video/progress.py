"""Around the sampling of a long video: progress, memory, decoding, and the file it goes to."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import comfy.model_management
import comfy.utils
import folder_paths
import latent_preview
import torch
from torch import Tensor

from ...unianimate_core.media.video import video_writer
from ..messages import say, show

DECODED_AT_ONCE = 4
Result = TypeVar("Result")


class LongProgress:
    """One bar over all segments, a preview of the newest frame, and the time that is left."""

    def __init__(self, model, segments: int, node_id: str | None):
        self.segments = segments
        self.node_id = node_id
        self.start, self.started = 0, time.monotonic()
        self.bar = comfy.utils.ProgressBar(segments)
        self.previewer = latent_preview.get_previewer(model.load_device, model.model.latent_format)

    def callback(self, index: int) -> Callable:
        """The callback of a segment's sampler. An interruption ends the run here, after any step."""

        def after_step(step: int, x0: Tensor, x: Tensor, total_steps: int) -> None:
            comfy.model_management.throw_exception_if_processing_interrupted()
            preview = self.previewer and self.previewer.decode_latent_to_preview_image("JPEG", x0[-1:])
            self.bar.update_absolute(index * total_steps + step + 1, self.segments * total_steps, preview)
            self._show_time_left(index + (step + 1) / total_steps)

        return after_step

    def shown(self, index: int) -> None:
        """A segment that was stored is in the video."""
        self.bar.update_absolute(index + 1, self.segments)

    def continued(self, start: int) -> None:
        """Sampling begins, after the segments that were stored."""
        if start:
            say(self.node_id, f"{start} of {self.segments} segments were finished before", level="info")
        self.start, self.started = start, time.monotonic()

    def finished(self, index: int) -> None:
        say(self.node_id, f"segment {index + 1} of {self.segments} finished", level="info")
        self._show_time_left(index + 1)

    def _show_time_left(self, done: float) -> None:
        """done: segments, including the share of the one under way."""
        left = (time.monotonic() - self.started) / (done - self.start) * (self.segments - done)
        show(self.node_id, f"{duration(left)} left")


def duration(seconds: float) -> str:
    """Readable: 40 s, 12 min, 3.5 h."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def with_retry(first: Callable[[], Result], second: Callable[[], Result], what: str, remedy: str) -> Result:
    """first(), or if memory runs out, second() after everything was freed.

    Raises MemoryError in one sentence if it runs out again. Other exceptions pass through.
    """
    try:
        return first()
    except RuntimeError as error:
        if not comfy.model_management.is_oom(error):
            raise
    comfy.model_management.unload_all_models()
    comfy.model_management.soft_empty_cache()
    try:
        return second()
    except RuntimeError as error:
        if not comfy.model_management.is_oom(error):
            raise
        raise MemoryError(f"out of memory while {what}, twice: {remedy}") from error


def decode(vae, latents: Tensor) -> Iterator[Tensor]:
    """A few images at a time, f H W 3 in [0, 1], fp32 on the CPU. latents: f 4 h w."""
    for batch in latents.split(DECODED_AT_ONCE):
        comfy.model_management.throw_exception_if_processing_interrupted()
        yield with_retry(
            lambda batch=batch: _decoded(vae, [batch]),
            lambda batch=batch: _decoded(vae, batch.split(1)),
            f"decoding images of {8 * latents.shape[3]}x{8 * latents.shape[2]}",
            "start ComfyUI with --lowvram, which keeps the segments that are finished, or lower width and height",
        )


def _decoded(vae, batches: Sequence[Tensor]) -> Tensor:
    images = torch.cat([vae.decode(batch).float().cpu() for batch in batches])
    if not torch.isfinite(images).all():
        raise ValueError(
            f"vae gives images with values that are not numbers ({vae.vae_dtype}): start ComfyUI with --fp32-vae, or "
            "load vae-ft-mse-840000-ema-pruned"
        )
    return images


@contextmanager
def video_file(fps: float) -> Iterator[tuple[Path, Callable[[Tensor], None]]]:
    """A path in ComfyUI's temporary folder, where the video is when the block ends, and a function that adds images.

    Images are f H W 3 in [0, 1]. Raises OSError in one sentence if the file cannot be written.
    """
    path = Path(folder_paths.get_temp_directory()) / f"unianimate_{uuid.uuid4().hex}.mp4"
    with video_writer(path, fps) as writer:

        def add(images: Tensor) -> None:
            for image in images:
                writer.write((255 * image).round().byte().numpy())

        yield path, add


def segments_folder() -> Path:
    return Path(folder_paths.get_output_directory()) / "unianimate_segments"
