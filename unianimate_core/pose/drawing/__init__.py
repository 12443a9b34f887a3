"""Drawn poses as the network saw them in training.

Read draw.py first: it draws a pose, a frame or a clip. figure.py holds the strokes of one person, style.py the
options, resize.py the filter that scales a drawing to the clip's size.
"""
