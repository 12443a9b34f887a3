from .conditions import Conditions
from .unet import UNet

__all__ = ["Conditions", "UNet"]
