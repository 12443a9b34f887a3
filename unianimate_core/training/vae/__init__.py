"""Training of the tiny VAE on drawn people. The result is a file that data preparation reads like any other VAE.

It may use the drawn world, optimizers and states. Only the command uses it.
"""
