"""LPIPS, the distance of two images in the features of a network, weighted to agree with people's judgments.

Source: Zhang et al. 2018, version 0.1 of its authors' package lpips.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from ..checkpoint import files
from ..optional import require
from .weights import BACKBONES

Backbone = Literal["vgg", "alex"]
SMALLEST_SIDE = 32


class PerceptualDistance:
    """LPIPS with a backbone whose ImageNet weights are in a folder.

    backbone: "vgg", as in the published tables, or "alex", which the authors of LPIPS recommend for evaluation. Never
    compare numbers of one with numbers of the other.
    Raises ImportError if the package lpips is missing, and the errors of WeightFile.locate.
    """

    def __init__(self, backbone: Backbone, folder: Path, device: torch.device | str = "cpu"):
        if backbone not in BACKBONES:
            raise ValueError(f"the LPIPS network is {backbone!r}: give {' or '.join(map(repr, BACKBONES))}")
        lpips = require("lpips", "LPIPS", extra="evaluation")
        weights = files.read(BACKBONES[backbone].locate(folder))[0]
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=UserWarning, module="torchvision")
            network = lpips.LPIPS(net=backbone, pnet_rand=True, verbose=False)  # pnet_rand: no download
        own = {name: weights[_published_name(name)] for name in network.net.state_dict()}
        network.net.load_state_dict(own)
        self.network = network.to(device).requires_grad_(False).eval()
        self.device = device

    @torch.inference_mode()
    def __call__(self, result: Tensor, truth: Tensor) -> Tensor:
        """One number per frame: 0 for equal frames, about 0.7 for unrelated ones. result, truth: f 3 h w in [0, 1]."""
        height, width = truth.shape[-2:]
        if min(height, width) < SMALLEST_SIDE:
            raise ValueError(
                f"frames are {width}x{height} (width x height), LPIPS needs at least {SMALLEST_SIDE}x{SMALLEST_SIDE}: "
                "leave lpips out"
            )
        frames = zip(result.to(self.device).split(1), truth.to(self.device).split(1), strict=True)
        return torch.cat([self.network(a, b, normalize=True).flatten() for a, b in frames]).double().cpu()


def _published_name(name: str) -> str:
    """The name in the file: the package cuts the backbone into slices, so slice2.5.weight is features.5.weight."""
    return f"features.{name.split('.', 1)[1]}"
