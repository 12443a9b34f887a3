"""Chooses one person in each frame, so that the same person dances throughout the clip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from ..boxes import box_overlaps
from ..keypoints import Pose, PoseError

CHOICES = ("tracked", "score", "largest", "center")
SPELLINGS = {"centre": "center"}

LEAST_AFFINITY = 0.15
"""Poses of neighboring frames with a lower affinity are different people; see `affinities`."""
JOINT_DISTANCE = 0.15
"""Joints this far apart, in longer sides of the person's box, have a nearness of 0.6; twice as far, 0.14."""
LONGEST_ABSENCE = 30
"""A track is dropped after this many missed frames."""
LONGEST_FORECAST = 8
"""Frames for which a hidden person is assumed to move on at the same velocity."""

LARGEST_CHANGE = 1.6
"""How many times larger a person may be after an absence: with arms spread, or a step nearer to the camera."""
SHORTEST_WAY, STEP, LONGEST_WAY = 1.5, 0.1, 5.0
"""How far a person may move during an absence: at first, more per frame, and at most. The unit is the mean distance of
the joints from their middle, about a quarter of a standing person's height."""


def choose_people(
    people: Sequence[Sequence[Pose]],
    choice: Literal["tracked", "score", "largest", "center", "centre"] = "tracked",
    *,
    aspect: float = 1.0,
) -> list[Pose]:
    """One pose per frame, `Pose.empty()` in frames without the person.

    people: for each frame, best score first, as `PoseDetector` returns them. aspect: width / height of the canvas.
    choice, frame by frame: "score" takes the first person, as the authors do; "largest" the largest box; "center" the
    box nearest to the middle of the canvas. "tracked" follows people by the overlap of their boxes and the distance of
    their keypoints, and takes the one who is large, certain and present for long. In a single image that is the larger
    of equally certain people. Frames before and after this track are empty, unless they show somebody who can be the
    same person.

    Raises PoseError for another choice.
    """
    known = SPELLINGS.get(choice, choice)
    if known not in CHOICES:
        raise PoseError(f"choice is {choice!r}: choose one of {', '.join(CHOICES)}")
    visible = [[pose for pose in frame if pose.body_seen.sum() >= 2] for frame in people]
    if known == "tracked":
        return _longest_presence(visible, aspect)
    return [_best(frame, known) for frame in visible]


def body_box(pose: Pose) -> np.ndarray:
    """x1, y1, x2, y2 around the seen joints, of which there must be one."""
    points = pose.body[pose.body_seen]
    return np.concatenate([points.min(0), points.max(0)])


def affinities(before: Sequence[Pose], after: Sequence[Pose], moved: np.ndarray, aspect: float) -> np.ndarray:
    """How well n poses of one frame match m of a later one, (n, m) in 0..1: mean of box overlap and joint nearness.

    moved: (n, 2), how far the n people should have moved in between. Boxes alone would swap people who cross; joints
    alone would lose a fast dancer.
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
    """One person over time. poses: frame -> pose; velocity: (2,) per frame; last: the last frame of `poses`."""

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
        """(2,) how far the person should have moved by this frame."""
        return self.velocity * min(frame - self.last, LONGEST_FORECAST)

    @property
    def presence(self) -> float:
        """Height times score, summed over the frames."""
        boxes = [body_box(pose) for pose in self.poses.values()]
        scores = [float(pose.body_score.mean()) for pose in self.poses.values()]
        return sum(score * float(box[3] - box[1]) for box, score in zip(boxes, scores, strict=True))


def _longest_presence(people: list[list[Pose]], aspect: float) -> list[Pose]:
    """The track with the greatest presence, joined with tracks before and after it that can be the same person.

    Other frames stay empty: neither another person nor a false detection before the dancer appears must dance.
    """
    tracks = sorted(_tracks(people, aspect), key=lambda track: -track.presence)
    chosen = tracks.pop(0).poses if tracks else {}
    for track in sorted(tracks, key=lambda track: _absence(chosen, track)):  # the nearest in time first
        if _absence(chosen, track) > 0 and _can_be_the_same(chosen, track, aspect):
            chosen = {**chosen, **track.poses}
    return [chosen.get(frame, Pose.empty()) for frame in range(len(people))]


def _absence(chosen: dict[int, Pose], track: _Track) -> int:
    """Frames between the chosen poses and the track, 0 or less if both are present at the same time."""
    return max(min(chosen) - track.last, min(track.poses) - max(chosen))


def _can_be_the_same(chosen: dict[int, Pose], track: _Track, aspect: float) -> bool:
    """Whether the two poses at the ends of an absence agree in size and place."""
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
        current = [track for track in tracks if frame - track.last <= LONGEST_ABSENCE]
        pairs = _pairs(current, poses, frame, aspect)
        for number, pose in enumerate(poses):
            if number not in pairs:
                tracks.append(_Track())
            (current[pairs[number]] if number in pairs else tracks[-1]).add(frame, pose)
    return tracks


def _pairs(tracks: list[_Track], poses: list[Pose], frame: int, aspect: float) -> dict[int, int]:
    """Number of the pose -> number of the track, paired in order of affinity."""
    if not tracks or not poses:
        return {}
    moved = np.array([track.forecast(frame) for track in tracks])
    affinity = affinities([track.poses[track.last] for track in tracks], poses, moved, aspect)
    pairs: dict[int, int] = {}
    while affinity.max() >= LEAST_AFFINITY:
        track, pose = np.unravel_index(affinity.argmax(), affinity.shape)
        pairs[int(pose)] = int(track)
        affinity[track], affinity[:, pose] = -1, -1
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
