"""What guides a clip, checked once: reference image and pose, driving poses, first frame, and the clip's size."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from .driving_poses import DrivingPoses, FittedPoses, read_poses
from .media.images import FITS, Fit, check_images, check_same_canvas, check_size, fit_images, frame, read_images
from .model.conditions import PoseRange


@dataclass(frozen=True)
class Guidance:
    """What guides a clip. Images are f H W C in [0, 1] of any size; they are fitted to width x height.

    reference_image, reference_pose, first_frame: one image each; poses: one a frame of the clip.
    fit: how images get the clip's shape, "crop", "pad" (with black) or "stretch".
    pose_range: how strongly, and over which share of the run, the poses guide.
    Raises ValueError, in one sentence that names the input, if something does not fit.
    """

    reference_image: Tensor
    reference_pose: Tensor | None
    poses: DrivingPoses
    width: int
    height: int
    fit: Fit = "crop"
    first_frame: Tensor | None = None
    pose_range: PoseRange = field(default_factory=PoseRange)

    def __post_init__(self) -> None:
        check_size(self.width, self.height)
        if self.fit not in FITS:
            raise ValueError(f"fit is {self.fit!r}: choose one of {', '.join(FITS)}")
        reference = self._checked("reference_image")
        assert reference is not None
        poses = check_images("poses", self.poses.images(range(1)))
        if (reference_pose := self._checked("reference_pose")) is not None:
            remedy = "draw both on the same canvas"
            check_same_canvas("poses", poses, "reference_pose", reference_pose, remedy)
        if self.fit != "stretch":
            name, pose = ("poses", poses) if reference_pose is None else ("reference_pose", reference_pose)
            remedy = "draw the pose on the image's canvas, or set fit to stretch"
            check_same_canvas(name, pose, "reference_image", reference, remedy)
        self._checked("first_frame")

    def _checked(self, name: str) -> Tensor | None:
        """Put the checked image in the place of the given one."""
        image = getattr(self, name)
        if image is not None or name == "reference_image":
            image = check_images(name, image, single=True)
            object.__setattr__(self, name, image)
        return image

    def __len__(self) -> int:
        """Frames of the clip."""
        return len(self.poses)

    def fitted(self, image: Tensor) -> Tensor:
        """f H W 3 to f 3 height width."""
        return fit_images(image, self.width, self.height, self.fit)

    def fitted_poses(self, frames: range | None = None) -> FittedPoses:
        """The drawn poses of some frames, or of all."""
        frames = range(len(self)) if frames is None else frames
        return FittedPoses(self.poses, frames, self.width, self.height, self.fit)

    def seen_reference(self) -> Tensor:
        """The part of the reference image that the clip shows, at its own resolution: 1 3 h w."""
        return frame(self.reference_image, self.width, self.height, self.fit)


def read_guidance(
    reference_image: Any,
    reference_pose: Any,
    poses: Any,
    *,
    first_frame: Any = None,
    width: int | None = None,
    height: int | None = None,
    fit: Fit = "crop",
    pose_range: PoseRange | None = None,
) -> Guidance:
    """The guidance of a clip from whatever holds images and poses; see UniAnimatePipeline.__call__."""
    image = read_images("reference_image", reference_image)
    own_height, own_width = image.shape[1:3]
    pose = None if reference_pose is None else read_poses("reference_pose", reference_pose, own_width, own_height)
    return Guidance(
        reference_image=image,
        reference_pose=None if pose is None else pose.images(range(len(pose))),
        poses=read_poses("poses", poses, own_width, own_height),
        width=width or own_width,
        height=height or own_height,
        fit=fit,
        first_frame=None if first_frame is None else read_images("first_frame", first_frame),
        pose_range=pose_range or PoseRange(),
    )
