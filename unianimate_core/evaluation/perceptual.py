"""LPIPS, the distance of two images as a network trained on people's judgements sees it.

Source: Zhang et al. 2018, version 0.1 of its authors' package lpips.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from ..checkpoint import files
from .weights import BACKBONES

Backbone = Literal["vgg", "alex"]
SMALLEST_SIDE = 32


class PerceptualDistance:
    """LPIPS with a backbone of ImageNet weights from a folder.

    backbone: "vgg" as in the published tables, or "alex", which its authors recommend for evaluation. The numbers of
    the two do not compare. Raises ImportError without the package lpips, and as WeightFile.locate does.
    """

    def __init__(self, backbone: Backbone, folder: Path, device: torch.device | str = "cpu"):
        if backbone not in BACKBONES:
            raise ValueError(f"the LPIPS network is {backbone!r}: give {' or '.join(map(repr, BACKBONES))}")
        lpips = _lpips()
        weights = files.read(BACKBONES[backbone].locate(folder))[0]
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=UserWarning, module="torchvision")
            network = lpips.LPIPS(net=backbone, pnet_rand=True, verbose=False)  # or it would download the backbone
        own = {name: weights[_published_name(name)] for name in network.net.state_dict()}
        network.net.load_state_dict(own)
        self.network = network.to(device).requires_grad_(False).eval()
        self.device = device

    @torch.inference_mode()
    def __call__(self, result: Tensor, truth: Tensor) -> Tensor:
        """result, truth: f 3 h w in [0, 1]. One number a frame: 0 for equal frames, about 0.7 for unrelated ones."""
        height, width = truth.shape[-2:]
        if min(height, width) < SMALLEST_SIDE:
            raise ValueError(
                f"frames are {width}x{height} (width x height), LPIPS needs at least {SMALLEST_SIDE}x{SMALLEST_SIDE}: "
                "leave lpips out"
            )
        frames = zip(result.to(self.device).split(1), truth.to(self.device).split(1), strict=True)
        return torch.cat([self.network(a, b, normalize=True).flatten() for a, b in frames]).double().cpu()


def _published_name(name: str) -> str:
    """slice2.5.weight of the package, which cuts the backbone into slices, is features.5.weight in the file."""
    return f"features.{name.split('.', 1)[1]}"


def _lpips() -> Any:
    try:
        import lpips
    except ImportError as error:
        raise ImportError(
            f"LPIPS needs the package lpips, which does not load ({error}): "
            'run pip install lpips, or pip install -e ".[evaluation]" in the folder of this pack'
        ) from error
    return lpips
