"""From everybody's keypoints to the driving poses of a clip: choose a person, fill, smooth, choose frames, align."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from .alignment.align import align_poses
from .alignment.canvas import frames_outside, onto_canvas
from .cleaning.gaps import GapReport, fill_gaps
from .cleaning.smooth import smooth_poses
from .cleaning.timing import choose_frames
from .cleaning.track import choose_people
from .keypoints import Pose

Person = Literal["tracked", "largest", "center", "score"]
Gaps = Literal["interpolate", "repeat", "empty"]
Mode = Literal["bones", "similarity", "none"]
ScaleFrom = Literal["robust", "first"]

DOUBTFUL = 0.1
"""The report lists frames of more doubt."""


@dataclass(frozen=True)
class RetargetOptions:
    """How driving keypoints become poses. The functions of each stage check their own options.

    person: see choose_people. gaps, longest_gap: see fill_gaps. smoothing: see smooth_poses.
    source_fps, target_fps, skip_first_frames, frame_load_cap, select_every_nth: see choose_frames.
    mode, scale_from: see align_poses; mode "none" keeps the poses and only fits their canvas.
    """

    person: Person = "tracked"
    gaps: Gaps = "interpolate"
    longest_gap: int = 12
    smoothing: float = 0.0
    source_fps: float = 30.0
    target_fps: float = 0.0
    skip_first_frames: int = 0
    frame_load_cap: int = 0
    select_every_nth: int = 1
    mode: Mode = "bones"
    scale_from: ScaleFrom = "robust"


@dataclass(frozen=True)
class Retargeted:
    """poses: on the reference's canvas. fps: at which they show the motion's own speed.

    report: what was missing and filled. outside: numbers of the frames in which the person leaves the image.
    """

    poses: list[Pose]
    fps: float
    report: str
    outside: list[int]


def retarget(
    reference: Pose,
    reference_size: tuple[int, int],
    people: Sequence[Sequence[Pose]],
    driving_size: tuple[int, int],
    options: RetargetOptions,
) -> Retargeted:
    """Driving poses with the size, proportions and place of the reference's person.

    people: everybody in each driving frame, best score first. Sizes: width and height of the canvases in pixels.
    Raises PoseError if the reference shows nobody, or an option is out of range.
    """
    poses, report = clean(people, options, aspect=driving_size[0] / driving_size[1])
    frames, fps = choose_frames(
        len(poses),
        options.source_fps,
        start=options.skip_first_frames,
        target_fps=options.target_fps,
        interval=options.select_every_nth,
        count=options.frame_load_cap,
    )
    poses = [poses[frame] for frame in frames]
    if options.mode == "none":
        aligned = onto_canvas(poses, driving_size, reference_size)
    else:
        aligned = align_poses(
            reference,
            poses,
            options.mode,
            scale_from=options.scale_from,
            reference_size=reference_size,
            driving_size=driving_size,
        )
    return Retargeted(aligned, fps, report.text(doubtful=DOUBTFUL), frames_outside(aligned))


def clean(people: Sequence[Sequence[Pose]], options: RetargetOptions, *, aspect: float) -> tuple[list[Pose], GapReport]:
    """One person's poses, filled and smoothed, and a report. aspect: width / height of the canvas."""
    poses = choose_people(people, options.person, aspect=aspect)
    poses, report = fill_gaps(poses, options.gaps, longest=options.longest_gap)
    return smooth_poses(poses, options.smoothing, fps=options.source_fps), report
