"""Aligning a driving sequence to the person of the reference image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from ..clip import BODY, KeypointClip
from ..keypoints import NECK, Pose, PoseError
from .anchor import anchor_frame
from .bone_lengths import torso_length
from .bones import retarget_bones, steady_scale
from .first import align_by_frame
from .ground import with_feet_as_driven

if TYPE_CHECKING:
    from collections.abc import Sequence

MODES = ("bones", "similarity", "none")


def align_poses(
    reference: Pose,
    driving: Sequence[Pose],
    mode: Literal["bones", "similarity", "none"] = "bones",
    *,
    scale_from: Literal["robust", "first"] | int = "robust",
    keep_feet_on_ground: bool | None = None,
    reference_size: tuple[int, int] | None = None,
    driving_size: tuple[int, int] | None = None,
) -> list[Pose]:
    """The driving poses with the size, proportions and place of the reference's person.

    mode "bones": every bone gets the reference's length (see below). "similarity": one scale and one shift, the
    driving person's own proportions stay. "none": the poses as they are.

    scale_from, for "bones" and "similarity":
    - "robust": lengths are taken over all frames and only where they can be believed; missing joints, side views,
      seated references and wrong detections are borne (`align_bones`), and the neck is laid onto the reference's in
      the first frame in which it can be believed (`anchor_frame`). Aligning twice changes nothing more.
    - "first", or the number of a frame: the authors' rule, from the first frame in which anybody is seen, or that
      frame; exact where every joint is seen, and as fragile as theirs (`align_first`).

    keep_feet_on_ground: the figure is moved up or down frame by frame so that its lower foot follows the driving
    dancer's, scaled. Legs and torso change by different ratios, so a planted foot would otherwise rise or sink
    whenever the knees bend. Ankles that cannot be believed do not count, and the movement is smoothed (`ground`).
    Left out: on with "robust" bones, off with the authors' rule, which has no such thing.

    reference_size, driving_size: width and height of the two canvases in pixels. Fractions of canvases of different
    shapes are not comparable; where a size is given, lengths are measured in true proportion ("robust" and
    "similarity"; the authors' rule measures fractions). Left out, that canvas counts as square.

    Raises PoseError where the reference shows no body, or for settings that do not exist.
    """
    _check(reference, driving, mode, scale_from)
    if mode == "none" or not driving:
        return list(driving)
    target, clip = KeypointClip.from_poses([reference]), KeypointClip.from_poses(driving)
    if not clip.seen.any():
        return list(driving)
    by_frame = mode == "bones" and scale_from != "robust"
    target_aspect, clip_aspect = (1.0, 1.0) if by_frame else (_aspect(reference_size), _aspect(driving_size))
    target = target.with_points(target.points * (target_aspect, 1))
    clip = clip.with_points(clip.points * (clip_aspect, 1))

    if by_frame:
        points, scale = align_by_frame(target, clip, scale_from)
    elif mode == "bones":
        points, scale = retarget_bones(target, clip)
    else:
        scale = steady_scale(target, _frames_to_measure(clip, scale_from))
        points = clip.points * scale
    if keep_feet_on_ground or (keep_feet_on_ground is None and mode == "bones" and not by_frame):
        points = with_feet_as_driven(points, clip, scale)
    points = _shifted_onto(target, points, clip, robust=scale_from == "robust")
    return clip.with_points(points / (target_aspect, 1)).to_poses()


def _frames_to_measure(clip: KeypointClip, scale_from: str | int) -> KeypointClip:
    if scale_from == "robust":
        return clip
    frame = int(scale_from) if scale_from != "first" else int(np.argmax(clip.seen[:, BODY].any(1)))
    return KeypointClip(clip.points[frame : frame + 1], clip.scores[frame : frame + 1])


def _shifted_onto(target: KeypointClip, points: np.ndarray, clip: KeypointClip, *, robust: bool) -> np.ndarray:
    """Shifts all frames alike: the neck onto the reference's, in the first frame that shows it or, robust, in the
    first where it can be believed. Without a neck, all points that both show, in the first frame that has any;
    without any of these, middle on middle.
    """
    common = clip.seen & target.seen[0]
    laid = onto = np.arange(130) == NECK
    if common[:, NECK].any():
        torso = torso_length(target.points[0, BODY], target.seen[0, BODY]) if robust else None
        frame = anchor_frame(points[:, NECK], common[:, NECK], torso) if torso else int(np.argmax(common[:, NECK]))
    elif common.any():
        frame = int(np.argmax(common.any(1)))
        laid = onto = common[frame]
    else:
        frame = int(np.argmax(clip.seen.any(1)))
        laid, onto = clip.seen[frame], target.seen[0]
    return points + (target.points[0, onto].mean(0) - points[frame, laid].mean(0))


def _aspect(size: tuple[int, int] | None) -> float:
    if size is None:
        return 1.0
    width, height = size
    if not (width > 0 and height > 0):
        raise PoseError(f"a canvas is {width}x{height}: width and height must be above 0")
    return width / height


def _check(reference: Pose, driving: Sequence[Pose], mode: str, scale_from: str | int) -> None:
    if mode not in MODES:
        raise PoseError(f"mode is {mode!r}: choose one of {', '.join(MODES)}")
    frame = isinstance(scale_from, (int, np.integer)) and not isinstance(scale_from, bool)
    if not frame and scale_from not in ("robust", "first"):
        raise PoseError(f"scale_from is {scale_from!r}: choose 'robust', 'first' or the number of a frame")
    if frame and driving and not 0 <= int(scale_from) < len(driving):
        raise PoseError(f"scale_from is frame {scale_from}, the driving poses have {len(driving)}: choose one of these")
    if mode != "none" and not reference.body_seen.any():
        raise PoseError("the reference pose shows no body: use an image with a person in it, or mode 'none'")
