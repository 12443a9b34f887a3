"""What learns: the network's own weights or a LoRA beside them, and layers that are fast on CPUs.

It may use the model, and neither settings, data, loss nor loop.
"""
