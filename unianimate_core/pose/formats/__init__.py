"""Keypoints in the formats of other tools.

Read openpose.py first: POSE_KEYPOINT frames to and from `Pose`. json_file.py reads and writes files of them,
hand_names.py corrects extractors that exchange left and right hands.
"""
