"""Hands that an extractor names the wrong way round.

ComfyUI's SDPose nodes write COCO's left hand as the right one, in every frame. Each hand would then ride on the other
arm. Which way an extractor does it shows where a hand lies at one wrist and far from the other; that is seen in some
frames only, and holds for all.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..keypoints import LEFT_WRIST, RIGHT_WRIST, Pose

NEAR, FAR = 0.5, 2.0
"""Palms (from the wrist to the base of the middle finger) within which a hand lies at a wrist, beyond which not."""


def with_hands_at_their_wrists(people: list[list[Pose]], certain: Sequence[bool]) -> list[list[Pose]]:
    """The people of a clip, all hands exchanged where most that can be told lie at the other wrist.

    certain: by frame, whether its hands are known to be named rightly; these neither count nor change.
    """
    doubtful = [pose for frame, sure in zip(people, certain, strict=True) if not sure for pose in frame]
    if sum(map(_names, doubtful)) >= 0:
        return people
    return [
        frame if sure else [_exchanged(pose) for pose in frame] for frame, sure in zip(people, certain, strict=True)
    ]


def _names(pose: Pose) -> int:
    """1 where all hands that are seen lie at their own wrist and far from the other, -1 the other way round, 0 where
    that cannot be told: hands that meet, hands elsewhere, wrists that are not seen."""
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
