"""Chooses the frame of an aligned sequence that is placed on the reference."""

from __future__ import annotations

import numpy as np

LARGEST_STEP = 0.5
"""In torsos per frame: a neck that moves farther belongs to another person, or is a wrong detection."""
MOST_STEPS = 4
"""A neck that reappears is at most this many steps from its last place, after any number of missed frames."""
LONGEST_ABSENCE = 60
"""A path of necks is dropped after this many missed frames."""
LARGEST_ERROR = 0.2
"""In torsos: a neck farther than this from where the next frames place it is implausible."""
NEXT_FRAMES = 4


def anchor_frame(necks: np.ndarray, seen: np.ndarray, torso: float) -> int:
    """The first frame of the dancer in which the neck agrees with the frames after it.

    necks (frames, 2): aligned, except for the shift. seen (frames,): at least one is True. torso: length of the
    reference's torso.

    The dancer is the person with the most necks: a false detection in frame 0, or somebody who walks past at the
    beginning, must not place the clip. The choice depends on aligned necks only, not on the place or size of the
    driving dancer, so a sequence that is already aligned gives the same frame.
    """
    dancer = max(_paths(necks, np.flatnonzero(seen), torso), key=len)
    for first, frame in enumerate(dancer):
        after = dancer[first + 1 : first + 2 + NEXT_FRAMES]
        if len(after) < 2:
            break
        speed = np.median(np.diff(necks[after], axis=0) / np.diff(after)[:, None], axis=0)
        expected = necks[after[0]] - speed * (after[0] - frame)
        if np.hypot(*(necks[frame] - expected)) <= LARGEST_ERROR * torso:
            return frame
    return dancer[0]


def _paths(necks: np.ndarray, frames: np.ndarray, torso: float) -> list[list[int]]:
    """The frames, grouped into paths along which one neck can have moved. Each path is in order."""
    paths: list[list[int]] = []
    recent: list[list[int]] = []
    for frame in frames.tolist():
        recent = [path for path in recent if frame - path[-1] <= LONGEST_ABSENCE]
        steps = [
            np.hypot(*(necks[frame] - necks[path[-1]])) / min(frame - path[-1], MOST_STEPS) / torso for path in recent
        ]
        if steps and min(steps) <= LARGEST_STEP:
            recent[int(np.argmin(steps))].append(frame)
        else:
            paths.append([frame])
            recent.append(paths[-1])
    return paths
