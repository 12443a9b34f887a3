"""What learns: the network's own weights or a LoRA beside them, and its layers made fast on CPUs.

Knows the model alone: no settings, no data, no loss, no loop.
"""
