"""From the poses of everybody to the poses of one person: chosen, filled, smoothed and sampled in time.

Each file is one step, in the order of use: track.py (read it first), gaps.py, smooth.py, timing.py.
"""
