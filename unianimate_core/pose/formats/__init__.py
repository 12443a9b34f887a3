"""Keypoints in the formats of other tools."""
