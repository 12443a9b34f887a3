"""Frames in which the person, or a part of them, was not seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

from ..clip import BODY, KeypointClip
from ..keypoints import Pose, PoseError

FILLS = ("interpolate", "repeat", "empty")

DOUBTFUL = 0.5
"""Frames of more doubt are listed in a report."""


@dataclass(frozen=True)
class GapReport:
    """What was done to a clip, frame by frame.

    doubt (frames,): 0 where every joint that the clip shows anywhere was measured with certainty, 1 where none was.
    absent, interpolated, repeated (frames,) bool: nobody was seen; some points are interpolated; the pose of another
    frame is repeated.
    """

    doubt: np.ndarray
    absent: np.ndarray
    interpolated: np.ndarray
    repeated: np.ndarray

    def __str__(self) -> str:
        """As `text`."""
        return self.text()

    def text(self, doubtful: float = DOUBTFUL) -> str:
        """For a log or a node: the summary, then a line for each run of frames that are alike and not beyond doubt.

        Listed is every frame with a doubt above `doubtful`, or in which anything was filled in.
        """
        listed = (self.doubt > doubtful) | self.absent | self.interpolated | self.repeated
        runs: list[list[int]] = []
        for frame in np.flatnonzero(listed).tolist():
            if runs and frame == runs[-1][-1] + 1 and self._state(frame) == self._state(frame - 1):
                runs[-1].append(frame)
            else:
                runs.append([frame])
        return "\n".join([self.summary(), *(f"{_numbers(run)}: {self._state(run[0])}" for run in runs)])

    def summary(self) -> str:
        """One line."""
        frames = len(self.doubt)
        worst = f", most doubtful frame {int(self.doubt.argmax())} ({self.doubt.max():.0%})" if frames else ""
        return (
            f"{frames} frames: nobody seen in {self.absent.sum()}, {self.interpolated.sum()} partly interpolated, "
            f"{self.repeated.sum()} repeated; mean doubt {self.doubt.mean() if frames else 0:.0%}{worst}"
        )

    def _state(self, frame: int) -> str:
        states = {
            f"doubt {self.doubt[frame]:.1f}": True,
            "nobody seen": self.absent[frame],
            "interpolated": self.interpolated[frame],
            "repeated": self.repeated[frame],
        }
        return ", ".join(name for name, holds in states.items() if holds)


def _numbers(run: list[int]) -> str:
    return f"frames {run[0]}-{run[-1]}" if len(run) > 1 else f"frame {run[0]}"


def fill_gaps(
    poses: Sequence[Pose], fill: Literal["interpolate", "repeat", "empty"] = "interpolate", *, longest: int = 12
) -> tuple[list[Pose], GapReport]:
    """One person's poses without holes, and a report.

    "interpolate": a point that is missing for at most `longest` frames, and seen before and after, moves straight
    between; frames in which then still nobody is, repeat the last pose (at the start, the first). "repeat": only such
    frames are filled, all of them by repeating. "empty": nothing is filled. A part that is missing for longer while
    the person is seen stays out: an arm frozen in the air is worse than one that is not drawn. Filled points get the
    lower score of their sources.
    """
    if fill not in FILLS:
        raise PoseError(f"fill is {fill!r}: choose one of {', '.join(FILLS)}")
    if longest < 0:
        raise PoseError(f"longest is {longest}: a gap has 0 or more frames")
    clip = KeypointClip.from_poses(poses)
    absent = np.logical_not(clip.seen[:, BODY].any(1))
    filled = _interpolated(clip, longest) if fill == "interpolate" else clip
    interpolated = (filled.seen & ~clip.seen).any(1)
    repeated = np.zeros(len(poses), bool)
    if fill != "empty":
        filled, repeated = _repeated(filled)
    report = GapReport(doubt_of_frames(clip), absent, interpolated & ~repeated, repeated)
    return filled.to_poses(), report


def doubt_of_frames(clip: KeypointClip) -> np.ndarray:
    """(frames,) 1 - the mean score of the joints that the clip shows anywhere; 1 in a clip that shows none."""
    shown = clip.seen[:, BODY].any(0)
    if not shown.any():
        return np.ones(len(clip.points))
    return 1 - clip.scores[:, BODY][:, shown].clip(0, 1).mean(1)


def _interpolated(clip: KeypointClip, longest: int) -> KeypointClip:
    points, scores = clip.points.copy(), clip.scores.copy()
    for point in np.flatnonzero(clip.seen.any(0)):
        frames = np.flatnonzero(clip.seen[:, point])
        for before, after in pairwise(frames):
            missing = after - before - 1
            if not 0 < missing <= longest:
                continue
            steps = (np.arange(1, missing + 1) / (missing + 1))[:, None]
            ends = clip.points[before, point], clip.points[after, point]
            points[before + 1 : after, point] = (1 - steps) * ends[0] + steps * ends[1]
            scores[before + 1 : after, point] = min(clip.scores[before, point], clip.scores[after, point])
    return KeypointClip(points, scores)


def _repeated(clip: KeypointClip) -> tuple[KeypointClip, np.ndarray]:
    """Frames without a body get the last one before that has one, else the first after."""
    there = np.asarray(clip.seen[:, BODY].any(1))
    if not there.any():
        return clip, np.zeros(len(there), bool)
    last = np.maximum.accumulate(np.where(there, np.arange(len(there)), -1))
    source = np.where(last < 0, np.argmax(there), last)
    return KeypointClip(clip.points[source], clip.scores[source]), np.logical_not(there)
