"""Choosing one person of each frame, so that the same one dances throughout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from ..detection.boxes_over_time import box_overlaps
from ..keypoints import Pose, PoseError

CHOICES = ("tracked", "score", "largest", "center")
_SPELLINGS = {"centre": "center"}

LEAST_AFFINITY = 0.15
"""Below, two poses in frames next to each other are not the same person; see `affinities`."""
JOINT_DISTANCE = 0.15
"""Of the longer side of the person's box: joints this far apart count as 0.6 alike, twice as far as 0.14."""
LONGEST_ABSENCE = 30
"""Frames after which somebody who left is not waited for."""
LONGEST_FORECAST = 8
"""Frames for which somebody hidden is thought to walk on as before."""

LARGEST_CHANGE = 1.6
"""How much larger somebody may be after an absence: arms spread, or a step nearer."""
SHORTEST_WAY, STEP, LONGEST_WAY = 1.5, 0.1, 5.0
"""How far somebody may be after an absence, after each frame of it, and at most, in mean distances of joints from
their middle (a quarter of a standing body's height)."""


def choose_people(
    people: Sequence[Sequence[Pose]],
    choice: Literal["tracked", "score", "largest", "center"] = "tracked",
    *,
    aspect: float = 1.0,
) -> list[Pose]:
    """One pose a frame, `Pose.empty()` where the person is not there.

    people: by frame, best score first, as `PoseDetector` returns them. aspect: width / height of the canvas.
    choice: "score" the first of each frame, as the authors; "largest" the greatest box; "center" the box nearest the
    middle of the canvas, all frame by frame. "tracked": people are followed by the overlap of their boxes and the
    distance of their key points, and the one who is large, sure and there for long is taken; in a single image that
    is the larger of equally sure people. Frames before and after are empty, unless somebody is there who may be them.
    """
    choice = _SPELLINGS.get(choice, choice)
    if choice not in CHOICES:
        raise PoseError(f"choice is {choice!r}: choose one of {', '.join(CHOICES)}")
    visible = [[pose for pose in frame if pose.body_seen.sum() >= 2] for frame in people]
    if choice == "tracked":
        return _longest_presence(visible, aspect)
    return [_best(frame, choice) for frame in visible]


def body_box(pose: Pose) -> np.ndarray:
    """x1, y1, x2, y2 around the seen joints of a body that has any."""
    points = pose.body[pose.body_seen]
    return np.concatenate([points.min(0), points.max(0)])


def affinities(before: Sequence[Pose], after: Sequence[Pose], moved: np.ndarray, aspect: float) -> np.ndarray:
    """How alike poses of two frames are, (n, m) in 0..1: half the overlap of boxes, half the nearness of joints.

    moved: (n, 2), how far the earlier ones will have gone. Boxes alone swap people who cross; joints alone lose a fast
    dancer.
    """
    stretch = np.array([aspect, 1])
    boxes = [np.array([body_box(pose) for pose in poses]) for poses in (before, after)]
    overlaps = box_overlaps(boxes[0] + np.tile(moved, 2), boxes[1])
    nearness = np.zeros_like(overlaps)
    for row, earlier in enumerate(before):
        size = np.max((boxes[0][row, 2:] - boxes[0][row, :2]) * stretch) + 1e-9
        for column, later in enumerate(after):
            both = earlier.body_seen & later.body_seen
            steps = (later.body[both] - earlier.body[both] - moved[row]) * stretch
            if len(steps):
                nearness[row, column] = np.exp(-0.5 * (steps**2).sum(1) / (JOINT_DISTANCE * size) ** 2).mean()
    return (overlaps + nearness) / 2


@dataclass
class _Track:
    """One person over time: frame -> pose."""

    poses: dict[int, Pose] = field(default_factory=dict)
    velocity: np.ndarray = field(default_factory=lambda: np.zeros(2))
    last: int = 0

    def add(self, frame: int, pose: Pose) -> None:
        if self.poses:
            before = self.poses[self.last]
            both = before.body_seen & pose.body_seen
            if both.any():
                step = (pose.body[both] - before.body[both]).mean(0) / (frame - self.last)
                self.velocity = (self.velocity + step) / 2
        self.poses[frame], self.last = pose, frame

    def forecast(self, frame: int) -> np.ndarray:
        """How far the person will have gone by then."""
        return self.velocity * min(frame - self.last, LONGEST_FORECAST)

    @property
    def presence(self) -> float:
        """Height times sureness, summed over the frames."""
        boxes = [body_box(pose) for pose in self.poses.values()]
        scores = [float(pose.body_score.mean()) for pose in self.poses.values()]
        return sum(score * float(box[3] - box[1]) for box, score in zip(boxes, scores, strict=True))


def _longest_presence(people: list[list[Pose]], aspect: float) -> list[Pose]:
    """The track with the greatest presence, and those that may be the same person before it begins or after it ends.

    Other frames are left empty: somebody else, or a false detection before the dancer comes, must not dance.
    """
    tracks = sorted(_tracks(people, aspect), key=lambda track: -track.presence)
    chosen = tracks.pop(0).poses if tracks else {}
    for track in sorted(tracks, key=lambda track: _absence(chosen, track)):  # the nearest in time first
        if _absence(chosen, track) > 0 and _may_be_the_same(chosen, track, aspect):
            chosen = {**chosen, **track.poses}
    return [chosen.get(frame, Pose.empty()) for frame in range(len(people))]


def _absence(chosen: dict[int, Pose], track: _Track) -> int:
    """Frames from the one to the other, not above 0 where they are there at the same time."""
    return max(min(chosen) - track.last, min(track.poses) - max(chosen))


def _may_be_the_same(chosen: dict[int, Pose], track: _Track, aspect: float) -> bool:
    """Whether two poses at the ends of an absence are alike in size and place."""
    before = track.last < min(chosen)
    one, other = (
        (chosen[min(chosen)], track.poses[track.last])
        if before
        else (chosen[max(chosen)], track.poses[min(track.poses)])
    )
    both = one.body_seen & other.body_seen
    if both.sum() < 2:
        return False
    bodies = [pose.body[both] * (aspect, 1) for pose in (one, other)]
    middles = [body.mean(0) for body in bodies]
    small, large = sorted(
        float(np.hypot(*(body - middle).T).mean()) for body, middle in zip(bodies, middles, strict=True)
    )
    way = min(LONGEST_WAY, SHORTEST_WAY + STEP * _absence(chosen, track))
    return large <= LARGEST_CHANGE * small and float(np.hypot(*(middles[0] - middles[1]))) <= way * large


def _tracks(people: list[list[Pose]], aspect: float) -> list[_Track]:
    tracks: list[_Track] = []
    for frame, poses in enumerate(people):
        waiting = [track for track in tracks if frame - track.last <= LONGEST_ABSENCE]
        pairs = _pairs(waiting, poses, frame, aspect)
        for number, pose in enumerate(poses):
            if number not in pairs:
                tracks.append(_Track())
            (waiting[pairs[number]] if number in pairs else tracks[-1]).add(frame, pose)
    return tracks


def _pairs(tracks: list[_Track], poses: list[Pose], frame: int, aspect: float) -> dict[int, int]:
    """Number of the pose -> number of the track, the most alike first."""
    if not tracks or not poses:
        return {}
    moved = np.array([track.forecast(frame) for track in tracks])
    alike = affinities([track.poses[track.last] for track in tracks], poses, moved, aspect)
    pairs: dict[int, int] = {}
    while alike.max() >= LEAST_AFFINITY:
        track, pose = np.unravel_index(alike.argmax(), alike.shape)
        pairs[int(pose)] = int(track)
        alike[track], alike[:, pose] = -1, -1
    return pairs


def _best(frame: list[Pose], choice: str) -> Pose:
    if not frame:
        return Pose.empty()
    if choice == "score":
        return frame[0]
    boxes = np.array([body_box(pose) for pose in frame])
    if choice == "largest":
        return frame[int(np.argmax((boxes[:, 2:] - boxes[:, :2]).prod(1)))]
    return frame[int(np.argmin(np.linalg.norm((boxes[:, :2] + boxes[:, 2:]) / 2 - 0.5, axis=1)))]
