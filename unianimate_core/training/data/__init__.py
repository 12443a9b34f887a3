"""From videos or drawn people to clips: sources, autoencoders, prepare, sequences, dropping, clips; workers carry them.

Knows settings and the drawn world, and neither the network nor how it learns.
"""
