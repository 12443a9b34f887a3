"""Which frame of an aligned sequence is laid onto the reference."""

from __future__ import annotations

import numpy as np

LARGEST_STEP = 0.5
"""In torsos: a neck that goes farther from one frame to the next belongs to somebody else, or is wrong."""
MOST_STEPS = 4
"""However long a neck was away, it is known again within so many steps of where it was."""
LONGEST_ABSENCE = 60
"""Frames after which it is not known again."""
LARGEST_ERROR = 0.2
"""In torsos: a neck this far from where the next frames say it was is not laid onto the reference."""
NEXT_FRAMES = 4


def anchor_frame(necks: np.ndarray, seen: np.ndarray, torso: float) -> int:
    """The first frame of the dancer whose neck agrees with those after it.

    necks (frames, 2): as aligned, but for the shift; seen (frames,) with at least one; torso: length of the
    reference's. The dancer is whose neck is there in most frames: a false person in frame 0, or somebody who walks
    through at the beginning, must not place the clip. It rests on the result alone, never on where or how large the
    driving dancer was, and so finds the same frame in a sequence that is aligned already.
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
    """The frames, sorted into those between which a neck can have gone on, each path in order."""
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
