"""The tiny VAE's own training, from drawn people to a file, which data reads as any other VAE.

Knows the drawn world, optimizers and states; no other room knows it.
"""
