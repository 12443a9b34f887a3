"""Names that the long video's modules import from here."""

from .keypoints import PoseKeypoints as PoseKeypoints
from .keypoints import people_of_clip as people_of_clip
