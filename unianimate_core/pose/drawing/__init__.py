"""Poses drawn as the network saw them in training."""
