"""Aligns a driving sequence to the person of the reference image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from ..clip import BODY, KeypointClip
from ..keypoints import NECK, Pose, PoseError
from .anchor import anchor_frame
from .authors_rule import align_by_frame
from .bone_lengths import torso_length
from .bones import retarget_bones, steady_scale
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

    mode "bones": every bone gets the reference's length. "similarity": one scale and one shift; the driving person
    keeps their own proportions. "none": the poses unchanged.

    scale_from, for "bones" and "similarity":
    - "robust": measures plausible lengths over all frames, so that missing joints, side views, seated references and
      wrong detections do no harm (`retarget_bones`). It places the neck on the reference's in the first frame with a
      plausible neck (`anchor_frame`). Aligning a second time changes nothing.
    - "first", or the number of a frame: the authors' rule, by the first frame that shows a body, or by that frame. It
      is exact if every joint is seen, and as fragile as theirs (`align_by_frame`).

    keep_feet_on_ground: moves each frame up or down so that the lower foot follows the driving dancer's, scaled
    (`with_feet_as_driven`). Legs and torso change by different ratios, so a planted foot would otherwise rise or sink
    when the knees bend. Default: on for "robust" bones, off for the authors' rule, which does not have it.

    reference_size, driving_size: width and height of the two canvases in pixels. Fractions of canvases of different
    shapes cannot be compared; with sizes, lengths are measured in true proportion (except by the authors' rule, which
    measures fractions). Default: a square canvas.

    Raises PoseError if the reference shows no body, or if a setting does not exist.
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
    """Shifts all frames equally, so that one frame lies on the reference.

    The neck goes onto the reference's, in the first frame that shows it or, if robust, in the first with a plausible
    one. Without a neck, the mean of the points that both show is used, in the first frame with such a point; without
    these, the mean of all points of each.
    """
    common = clip.seen & target.seen[0]
    moved = onto = np.arange(130) == NECK
    if common[:, NECK].any():
        torso = torso_length(target.points[0, BODY], target.seen[0, BODY]) if robust else None
        frame = anchor_frame(points[:, NECK], common[:, NECK], torso) if torso else int(np.argmax(common[:, NECK]))
    elif common.any():
        frame = int(np.argmax(common.any(1)))
        moved = onto = common[frame]
    else:
        frame = int(np.argmax(clip.seen.any(1)))
        moved, onto = clip.seen[frame], target.seen[0]
    return points + (target.points[0, onto].mean(0) - points[frame, moved].mean(0))


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
