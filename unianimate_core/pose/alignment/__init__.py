"""Driving poses with the reference person's size, proportions and place."""
