"""Fills frames in which the person, or a part of the person, was not seen."""

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
"""A report lists frames with more doubt than this."""


@dataclass(frozen=True)
class GapReport:
    """What was missing in a clip, and how it was filled, frame by frame.

    doubt (frames,), 0..1: 1 minus the mean score of the joints that the clip shows in any frame.
    absent (frames,) bool: nobody was seen. interpolated: some points are interpolated. repeated: the frame has the
    pose of another frame.
    """

    doubt: np.ndarray
    absent: np.ndarray
    interpolated: np.ndarray
    repeated: np.ndarray

    def __str__(self) -> str:
        """The `text` with the default threshold."""
        return self.text()

    def text(self, doubtful: float = DOUBTFUL) -> str:
        """The summary, then a line for each run of frames in the same state, for a log or a node.

        Lists frames with a doubt above `doubtful`, frames without a person, and frames that were filled.
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
    """One person's poses without gaps, and a report.

    fill "interpolate": a point that is missing for at most `longest` frames moves in a straight line between the
    frames that show it. Frames that still show nobody repeat the last pose; those at the start, the first pose.
    "repeat": frames that show nobody repeat a pose in the same way, and nothing is interpolated. "empty": nothing is
    filled. A part that is missing for longer while the person is seen stays unseen: an arm frozen in the air is worse
    than one that is not drawn. An interpolated point gets the lower score of its two sources.

    Raises PoseError for another fill or a negative `longest`.
    """
    if fill not in FILLS:
        raise PoseError(f"fill is {fill!r}: choose one of {', '.join(FILLS)}")
    if longest < 0:
        raise PoseError(f"longest is {longest}: give 0 or more frames")
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
    """(frames,) 1 minus the mean score of the joints that the clip shows in any frame; 1 if it shows none."""
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
    """The clip, in which a frame without a body repeats the last one with a body, or else the first; and (frames,)
    which frames do so."""
    present = np.asarray(clip.seen[:, BODY].any(1))
    if not present.any():
        return clip, np.zeros(len(present), bool)
    last = np.maximum.accumulate(np.where(present, np.arange(len(present)), -1))
    source = np.where(last < 0, np.argmax(present), last)
    return KeypointClip(clip.points[source], clip.scores[source]), np.logical_not(present)
