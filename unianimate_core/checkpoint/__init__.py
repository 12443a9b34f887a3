"""Checkpoints: read strictly, converted, and translated between the published names and those of the modules."""

from .files import CheckpointError
from .loading import convert_checkpoint, load_unet, read_checkpoint, to_checkpoint, to_modules

__all__ = ["CheckpointError", "convert_checkpoint", "load_unet", "read_checkpoint", "to_checkpoint", "to_modules"]
