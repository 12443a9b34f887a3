"""Driving poses with the reference person's size, proportions and place.

Read align.py first. authors_rule.py is the authors' way, by one frame. bones.py is ours, over all frames, which
bone_lengths.py measures and place_bones.py carries out. ground.py keeps the feet on the ground, anchor.py chooses the
frame that is placed on the reference. canvas.py fits poses to a canvas of another shape.
"""
