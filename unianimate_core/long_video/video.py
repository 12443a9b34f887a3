"""A long video of an animator: its settings, its plan, and its images segment by segment."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from einops import rearrange
from torch import Tensor

from ..animator import Animator
from ..diffusion import Denoiser, StepCallback, ddim_sample
from ..guidance import Guidance
from ..sampling import SamplingSettings, initial_latents
from ..storage.content_hash import content_hash, weights_hash
from .chain import split_segments
from .run import plan_chain, run_chain, segment_images
from .seams import PAPERS, Handover, Seams, held
from .segment_store import Store
from .windows import WINDOW_SCHEDULES, sample_windows

MATCHED = Seams(match_colors=1.0)
"""The default: by benchmarks/results/drift.md, colors then do not drift."""


@dataclass(frozen=True)
class LongVideoSettings:
    """How a long video is put together.

    method: "chain" begins each segment with the last frame of the one before and needs the memory of one segment,
    however long the video; "windows" samples all frames together in overlapping windows.
    segment_length: frames of a segment or a window; 16 and 32 were trained. overlap: frames that two windows share.
    window_schedule: one of WINDOW_SCHEDULES. seams: how the segments of a chain join.
    """

    segment_length: int = 32
    method: Literal["chain", "windows"] = "chain"
    overlap: int = 8
    window_schedule: str = "even"
    seams: Seams = MATCHED

    def __post_init__(self) -> None:
        if self.method not in ("chain", "windows"):
            raise ValueError(f"method is {self.method!r}: choose chain or windows")
        if self.window_schedule not in WINDOW_SCHEDULES:
            raise ValueError(
                f"window_schedule is {self.window_schedule!r}: choose one of {', '.join(WINDOW_SCHEDULES)}"
            )

    def segments(self, total: int) -> tuple[list[range], Seams]:
        """The segments of a video of `total` frames, and how they join. Raises ValueError if the numbers do not fit."""
        if self.method == "windows":
            return [range(total)], PAPERS
        return split_segments(total, self.segment_length, self.seams.shared_frames), self.seams


class Progress:
    """What a long video reports while it is made; this one reports nothing."""

    def sampling_starts(self, finished: int) -> None:
        """Called once, after the segments that were stored before, and before another is sampled."""

    def callback(self, segment: int) -> StepCallback | None:
        """What is called after each step of a segment; see ddim_sample."""
        return None


class LongVideo:
    """One long video. hash: of everything that all its segments depend on; plan: its segments."""

    def __init__(self, animator: Animator, guidance: Guidance, settings: SamplingSettings, long: LongVideoSettings):
        self.animator, self.guidance, self.settings, self.long = animator, guidance, settings, long
        segments, seams = long.segments(len(guidance))
        self.hash = content_hash(*self._shared_inputs())
        self.plan = plan_chain(segments, seams, settings.seed, run=self.hash, pose_hash=guidance.poses.hash)

    def _shared_inputs(self) -> Iterator[Any]:
        animator, guidance, long = self.animator, self.guidance, self.long
        yield weights_hash(animator.unet.state_dict()), animator.unet.dtype, animator.vae.identity
        yield None if animator.clip is None else animator.clip.identity
        yield self.settings
        yield (long.segment_length, long.overlap, long.window_schedule) if long.method == "windows" else None
        yield guidance.reference_image, guidance.reference_pose, guidance.first_frame, guidance.pose_range
        yield guidance.width, guidance.height, guidance.fit

    def images(self, store: Store, progress: Progress | None = None) -> Iterator[Tensor]:
        """All images in order, 1 3 n H W in [0, 1] at a time, of stored segments and then of new ones."""
        shared = self.animator.encode_shared(self.guidance)
        first = shared.pop("first_frame")
        progress = progress or Progress()

        def sample(frames: range, handover: Handover | None, seed: int) -> Tensor:
            callback = progress.callback(self.plan.segments.index(frames))
            return self._sample(shared, frames, handover, seed, callback)

        segments = run_chain(
            self.plan,
            store,
            sample,
            self.animator.decode,
            first=None if first is None else Handover(first.cpu()),
            before_sampling=progress.sampling_starts,
        )
        for segment in segments:
            yield from segment_images(segment, self.animator.decode)

    @torch.no_grad()
    def _sample(
        self, shared: dict[str, Any], frames: range, handover: Handover | None, seed: int, callback: StepCallback | None
    ) -> Tensor:
        """The latents of some frames, 1 4 f h w, on the CPU."""
        device, settings = self.animator.device, replace(self.settings, seed=seed)
        poses = rearrange(self.guidance.fitted_poses(frames).whole(), "f c h w -> 1 c f h w")
        conditions = {**shared, "pose": poses.to(device)}
        if handover is not None:
            conditions["first_frame"] = handover.image.to(device)
        start = initial_latents(conditions, settings, long_video=True)
        if self.long.method == "windows":
            return self._sample_windows(conditions, settings, start, callback).cpu()
        denoiser = self.animator.denoiser(conditions, settings)
        if self.plan.seams.hold_latents and handover is not None and handover.latents is not None:
            noise = torch.randn(handover.latents.shape, generator=torch.Generator().manual_seed(seed))
            denoiser = held(denoiser, handover.latents.to(start), noise.to(start))
        return ddim_sample(denoiser, start, settings.steps, ending=settings.ending, callback=callback).cpu()

    def _sample_windows(
        self,
        conditions: dict[str, Any],
        settings: SamplingSettings,
        start: Tensor,
        callback: StepCallback | None,
    ) -> Tensor:
        """All frames together. A first frame belongs only to the window that holds frame 0."""

        def denoiser_for_window(frames: list[int]) -> Denoiser:
            own = conditions | {"pose": conditions["pose"][:, :, frames]}
            if 0 not in frames:
                own.pop("first_frame", None)
            return self.animator.denoiser(own, settings)

        spacing, weights = WINDOW_SCHEDULES[self.long.window_schedule]
        return sample_windows(
            denoiser_for_window,
            start,
            settings.steps,
            self.long.segment_length,
            self.long.overlap,
            weights=weights,
            spacing=spacing,
            ending=settings.ending,
            callback=callback,
        )
