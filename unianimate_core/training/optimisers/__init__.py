"""How weights are moved along their gradients: Muon, and which weights AdamW takes instead.

Knows settings and no other room; the loop and the VAE's training use it.
"""
