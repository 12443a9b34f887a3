"""DWPose: people and their keypoints in images."""
