"""Training: the drawn world with its ground truth, and what learns from it.

    settings, presets            what is asked for
    states                       what a run is continued from, on disk
    world, people, characters    drawn people with their exact poses
    data                         drawn people or videos -> latents on disk -> clips
    network                      what learns: all weights, a part of them, or a LoRA
    conditions, distillation, loss    clips through the network -> what is minimized
    optimizers                   gradients -> weights
    loop                         step after step, with curves and validation
    vae                          the tiny VAE, trained by itself
    command                      from a command's options to a run

Each line knows only lines above it (tests/core/test_boundaries.py).
"""
