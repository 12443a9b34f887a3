"""DWPose: finds people and their keypoints in images and videos.

Read detector.py first, then pipeline.py, through which a video runs: yolox.py finds people, boxes_over_time.py follows
them between searched frames, simcc.py reads their keypoints off the second network. onnx_session.py loads a network.
"""
