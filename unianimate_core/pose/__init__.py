"""Poses: key points of people, their detection, drawing and alignment. Imports neither torch nor onnxruntime."""

from .align import align_poses
from .canvas import frames_outside, onto_canvas
from .detector import PoseDetector
from .draw import draw_pose, draw_poses, iter_drawn
from .gaps import GapReport, fill_gaps
from .keypoint_json import frames_of_people, people_by_frame, read_keypoints, write_keypoints
from .keypoints import Pose, PoseError
from .openpose import frame_of_people, people_of_frame
from .smooth import smooth_poses
from .timing import choose_frames
from .track import choose_people

__all__ = [
    "GapReport",
    "Pose",
    "PoseDetector",
    "PoseError",
    "align_poses",
    "choose_frames",
    "choose_people",
    "draw_pose",
    "draw_poses",
    "fill_gaps",
    "frame_of_people",
    "frames_of_people",
    "frames_outside",
    "onto_canvas",
    "iter_drawn",
    "people_by_frame",
    "people_of_frame",
    "read_keypoints",
    "smooth_poses",
    "write_keypoints",
]
