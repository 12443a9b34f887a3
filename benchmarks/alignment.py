"""Draws docs/alignment.png: alignment in cases in which a simple ratio of lengths fails.

python -m benchmarks.alignment
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np

from tests.support.stick_figure import ASPECT, SKELETON, skeleton, standing, walking
from unianimate_core.pose import Pose, align_poses, draw_pose
from unianimate_core.pose import keypoints as points

HEIGHT, WIDTH, GAP, LABEL = 300, 200, 6, 26
SHOWN = 4  # the later frame
LANDSCAPE, LANDSCAPE_ASPECT = "a driving video of 16:9, a reference of 2:3", 16 / 9
COLUMNS = ("reference", "driving, frame 0", "driving, later", "authors' rule", "robust: frame 0", "robust: later")
LEGS = (points.RIGHT_KNEE, points.RIGHT_ANKLE, points.LEFT_KNEE, points.LEFT_ANKLE, 18, 19)


def with_lengths(joints: np.ndarray, factors: Mapping[int, float], size: float = 1.0) -> np.ndarray:
    """The figure `size` times as large. factors: of bone lengths, by the joint at the end of the bone."""
    joints = joints * (ASPECT, 1)
    changed = joints.copy()
    for joint, parent, _, _ in SKELETON:
        changed[joint] = changed[parent] + size * factors.get(joint, 1.0) * (joints[joint] - joints[parent])
    changed[:, 1] += 0.94 - changed[:, 1].max()  # stands on the same floor
    return changed / (ASPECT, 1)


def child(joints: np.ndarray) -> np.ndarray:
    """Half the size, with a large head and short legs."""
    short = dict.fromkeys((9, 10, 12, 13), 0.75)
    return with_lengths(joints, {0: 1.6, 14: 1.6, 15: 1.6, 16: 1.6, 17: 1.6} | short, 0.55)


def from_the_side(joints: np.ndarray) -> np.ndarray:
    """Turned by 80 degrees, which leaves almost no width of shoulders and hips."""
    turned = joints.copy()
    middle = joints[points.NECK, 0]
    turned[:, 0] = middle + 0.17 * (joints[:, 0] - middle)
    return turned


def seated(joints: np.ndarray) -> np.ndarray:
    """Thighs point towards the camera, and look a third as long."""
    return with_lengths(joints, {9: 0.35, 12: 0.35})


def without(joints: np.ndarray, unseen) -> Pose:
    pose = skeleton(joints)
    body, score = pose.body.copy(), pose.body_score.copy()
    body[list(unseen)], score[list(unseen)] = points.UNSEEN, 0
    return Pose(body, pose.hands, pose.face, score, pose.hand_score, pose.face_score)


def with_wrong_ankle(joints: np.ndarray) -> np.ndarray:
    """A wrong detection: an ankle and its toe, two thirds of the canvas below the floor."""
    wrong = joints.copy()
    wrong[[points.LEFT_ANKLE, points.LEFT_TOE], 1] += 0.66
    return wrong


def in_landscape(joints: np.ndarray, size: float = 0.9) -> np.ndarray:
    """The same person at the left of a canvas of 16:9."""
    x, y = (joints * (ASPECT, 1)).T
    return np.stack([(size * x + 0.1) / LANDSCAPE_ASPECT, size * y + 0.05], axis=1)


def cases() -> dict[str, tuple[Pose, list[Pose]]]:
    """Title -> reference, driving poses. The driving poses of `LANDSCAPE` have a canvas of 16:9."""
    walk = [walking(frame / 12) for frame in range(12)]
    turning = [from_the_side(walk[0]), *walk[1:]]
    wrong = [with_wrong_ankle(walk[0]), *walk[1:], *walk]
    return {
        "an adult drives a child": (skeleton(child(standing())), [skeleton(joints) for joints in walk]),
        "frame 0 from the side": (skeleton(standing()), [skeleton(joints) for joints in turning]),
        "a seated reference": (skeleton(seated(standing())), [skeleton(joints) for joints in walk]),
        "legs unseen in frame 0": (
            skeleton(standing()),
            [without(walk[0], LEGS), *(skeleton(joints) for joints in walk[1:])],
        ),
        "one arm unseen in the reference": (
            without(standing(), (points.LEFT_ELBOW, points.LEFT_WRIST)),
            [skeleton(with_lengths(joints, {}, 0.7)) for joints in walk],
        ),
        "a wrong ankle in frame 0": (
            skeleton(with_lengths(standing(), dict.fromkeys((9, 10, 12, 13), 0.8))),
            [skeleton(joints) for joints in wrong],
        ),
        LANDSCAPE: (skeleton(standing()), [skeleton(in_landscape(joints)) for joints in walk]),
    }


def row(title: str, reference: Pose, driving: list[Pose]) -> np.ndarray:
    authors = align_poses(reference, driving, scale_from="first")
    size = (WIDTH, HEIGHT)
    driving_aspect = LANDSCAPE_ASPECT if title == LANDSCAPE else WIDTH / HEIGHT
    driving_size = (WIDTH, round(WIDTH / driving_aspect))
    robust = align_poses(reference, driving, reference_size=size, driving_size=driving_size)
    shown = (reference, driving[0], driving[SHOWN], authors[SHOWN], robust[0], robust[SHOWN])
    drawings = [drawn(pose, *(driving_size if column in (1, 2) else size)) for column, pose in enumerate(shown)]
    panels = [np.pad(drawing, ((0, 0), (0, GAP), (0, 0)), constant_values=90) for drawing in drawings]
    strip = np.pad(np.concatenate(panels, axis=1), ((LABEL, 0), (0, 0), (0, 0)), constant_values=30)
    return label(strip, title, 8, 18)


def drawn(pose: Pose, width: int, height: int) -> np.ndarray:
    """The pose on a canvas of this size, vertically centered in a panel."""
    above = HEIGHT - height
    stroke = max(1, round(4 * (height / HEIGHT) ** 0.5))
    drawing = draw_pose(pose, height, width, stick_width=stroke, point_radius=stroke)
    return np.pad(drawing, ((above // 2, above - above // 2), (0, 0), (0, 0)), constant_values=90)


def label(image: np.ndarray, text: str, x: int, y: int) -> np.ndarray:
    return cv2.putText(image, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 255, 255), 1, cv2.LINE_AA)


def main() -> None:
    rows = [row(title, *case) for title, case in cases().items()]
    head = np.full((LABEL, rows[0].shape[1], 3), 70, np.uint8)
    for column, text in enumerate(COLUMNS):
        label(head, text, 8 + column * (WIDTH + GAP), 18)
    target = Path("docs/alignment.png")
    target.parent.mkdir(exist_ok=True)
    cv2.imwrite(str(target), np.concatenate([head, *rows])[..., ::-1])
    print(f"wrote {target}")


if __name__ == "__main__":
    main()
