"""LPIPS: the distance of two images by a network trained on human judgments.

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
    """LPIPS with a backbone of ImageNet weights from a folder.

    backbone: "vgg" as in the published tables, or "alex", which its authors recommend for evaluation. Their values
    are not comparable. Raises ImportError without the package lpips, ValueError for another backbone, and as
    WeightFile.locate does.
    """

    def __init__(self, backbone: Backbone, folder: Path, device: torch.device | str = "cpu"):
        if backbone not in BACKBONES:
            raise ValueError(f"the LPIPS network is {backbone!r}: give {' or '.join(map(repr, BACKBONES))}")
        lpips = require("lpips", "LPIPS", extra="evaluation")
        weights = files.read(BACKBONES[backbone].locate(folder))[0]
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=UserWarning, module="torchvision")
            network = lpips.LPIPS(net=backbone, pnet_rand=True, verbose=False)  # pnet_rand: without a download
        own = {name: weights[_published_name(name)] for name in network.net.state_dict()}
        network.net.load_state_dict(own)
        self.network = network.to(device).requires_grad_(False).eval()
        self.device = device

    @torch.inference_mode()
    def __call__(self, result: Tensor, truth: Tensor) -> Tensor:
        """result, truth: f 3 h w in [0, 1]. One number per frame: 0 for equal frames, about 0.7 for unrelated ones."""
        height, width = truth.shape[-2:]
        if min(height, width) < SMALLEST_SIDE:
            raise ValueError(
                f"frames are {width}x{height} (width x height), LPIPS needs at least {SMALLEST_SIDE}x{SMALLEST_SIDE}: "
                "leave out lpips"
            )
        frames = zip(result.to(self.device).split(1), truth.to(self.device).split(1), strict=True)
        return torch.cat([self.network(a, b, normalize=True).flatten() for a, b in frames]).double().cpu()


def _published_name(name: str) -> str:
    """The name in the file. The package splits the backbone: slice2.5.weight is features.5.weight in the file."""
    return f"features.{name.split('.', 1)[1]}"
