"""A run: a job, the trainer that carries it out, its curves and its validation.

Knows all rooms but vae: it fetches clips of data, runs the loss on the network and steps the optimizers.
"""
