"""How weights are moved along their gradients: Muon, which weights AdamW takes instead, and what both remember.

Knows settings and no other room; the loop and the VAE's training use it.
"""
