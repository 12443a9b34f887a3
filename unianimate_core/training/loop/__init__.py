"""The loop: a run, the trainer that carries it out, its curves, its EMA and its validation.

It takes clips from data, calls the loss and steps the optimizers. It may use every other part of training but vae.
"""
