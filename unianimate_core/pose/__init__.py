"""Poses: keypoints of people, and what is done with them. Importing it loads neither torch nor onnxruntime.

Read keypoints.py first: a `Pose` is one person in one frame. Then follow a driving video through the rooms:
detection/ finds people, formats/ reads them from files instead, cleaning/ chooses one person and fills gaps,
alignment/ gives that person the proportions of the reference, drawing/ draws what the network sees. No room imports
another; all may use keypoints.py, clip.py (the poses of a clip as arrays), boxes.py and opencv.py.
"""

from .alignment.align import align_poses
from .alignment.canvas import frames_outside, onto_canvas
from .cleaning.gaps import GapReport, fill_gaps
from .cleaning.smooth import smooth_poses
from .cleaning.timing import choose_frames
from .cleaning.track import choose_people
from .detection.detector import PoseDetector
from .drawing.draw import draw_people, draw_pose, draw_poses, iter_drawn, iter_drawn_people
from .drawing.style import DrawingStyle
from .formats.json_file import read_keypoints, write_keypoints
from .formats.openpose import frames_of_people, people_by_frame
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
    "frames_of_people",
    "frames_outside",
    "iter_drawn",
    "iter_drawn_people",
    "onto_canvas",
    "people_by_frame",
    "read_keypoints",
    "smooth_poses",
    "write_keypoints",
]
