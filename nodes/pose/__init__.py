"""Nodes that find, align, load and save poses."""
