"""Poses: key points of people, their detection, drawing and alignment. Imports neither torch nor onnxruntime."""

from .alignment.align import align_poses
from .alignment.canvas import frames_outside, onto_canvas
from .cleaning.gaps import GapReport, fill_gaps
from .cleaning.smooth import smooth_poses
from .cleaning.timing import choose_frames
from .cleaning.track import choose_people
from .detection.detector import PoseDetector
from .drawing.draw import draw_people, draw_pose, draw_poses, iter_drawn, iter_drawn_people
from .drawing.style import DrawingStyle
from .formats.json_file import frames_of_people, people_by_frame, read_keypoints, write_keypoints
from .formats.openpose import frame_of_people, people_of_frame
from .keypoints import Pose, PoseError

__all__ = [
    "DrawingStyle",
    "GapReport",
    "Pose",
    "PoseDetector",
    "PoseError",
    "align_poses",
    "choose_frames",
    "choose_people",
    "draw_people",
    "draw_pose",
    "draw_poses",
    "fill_gaps",
    "frame_of_people",
    "frames_of_people",
    "frames_outside",
    "onto_canvas",
    "iter_drawn",
    "iter_drawn_people",
    "people_by_frame",
    "people_of_frame",
    "read_keypoints",
    "smooth_poses",
    "write_keypoints",
]
