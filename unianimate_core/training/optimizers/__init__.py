"""Optimizers: Muon, the weights that AdamW takes instead (groups), and their state as named tensors.

They may use settings and nothing else of training. The loop and the training of the VAE use them.
"""
