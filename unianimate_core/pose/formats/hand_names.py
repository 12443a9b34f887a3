"""Corrects extractors that exchange the names of the left and the right hand.

ComfyUI's SDPose nodes write COCO's left hand as the right one, in every frame. Each hand would then move with the
other arm. A hand that lies at one wrist and far from the other shows how the extractor names hands; only some frames
show it, but it holds for all frames of a clip.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..keypoints import LEFT_WRIST, RIGHT_WRIST, Pose

NEAR, FAR = 0.5, 2.0
"""A hand lies at a wrist within `NEAR` palms, and not beyond `FAR`. A palm: from wrist to base of the middle finger."""


def with_hands_at_their_wrists(people: list[list[Pose]], certain: Sequence[bool]) -> list[list[Pose]]:
    """The people of a clip, with all hands exchanged if most hands that give evidence lie at the other wrist.

    certain: for each frame, whether its hands are known to have the right names. These are not counted or changed.
    """
    doubtful = [pose for frame, sure in zip(people, certain, strict=True) if not sure for pose in frame]
    if sum(map(_evidence, doubtful)) >= 0:
        return people
    return [
        frame if sure else [_exchanged(pose) for pose in frame] for frame, sure in zip(people, certain, strict=True)
    ]


def _evidence(pose: Pose) -> int:
    """1 if all seen hands lie at their own wrist and far from the other, -1 if the opposite, else 0.

    Hands that meet, hands far from both wrists and unseen wrists give no evidence.
    """
    known = pose.hand_seen[:, [0, 9]].all(1)
    if not pose.body_seen[[LEFT_WRIST, RIGHT_WRIST]].all() or not known.any():
        return 0
    wrists, roots = pose.body[[LEFT_WRIST, RIGHT_WRIST]], pose.hands[:, 0]
    palms = np.linalg.norm(pose.hands[:, 9] - roots, axis=-1)
    to_own = np.linalg.norm(roots - wrists, axis=-1)
    to_other = np.linalg.norm(roots - wrists[::-1], axis=-1)
    own = (to_own < NEAR * palms) & (to_other > FAR * palms)
    other = (to_other < NEAR * palms) & (to_own > FAR * palms)
    return int(own[known].all()) - int(other[known].all())


def _exchanged(pose: Pose) -> Pose:
    return Pose(pose.body, pose.hands[::-1], pose.face, pose.body_score, pose.hand_score[::-1], pose.face_score)
