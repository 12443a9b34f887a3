"""Training: the drawn world with its ground truth, and what learns from it."""
