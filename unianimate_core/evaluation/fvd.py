"""FVD: the distance between the distributions of the features of two sets of videos.

Source: Unterthiner et al. 2018. The features are the 400 logits of I3D trained on Kinetics. The network is the
TorchScript file that StyleGAN-V published and showed to equal the original TensorFlow network.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from .bootstrap import Estimate, centered_estimate
from .weights import I3D

CLIP_FRAMES = 16
DRAWS = 200  # at most this many for the interval, since each decomposes matrices of 400x400
SIDE = 224  # pixels; frames are stretched to the square that the network was trained on
VideoFeatures = Callable[[Tensor], np.ndarray]


class InflatedInception:
    """I3D from a folder of weights. Opens only the published file. Raises as WeightFile.locate does."""

    def __init__(self, folder: Path, device: torch.device | str = "cpu"):
        self.network = torch.jit.load(str(I3D.locate(folder)), map_location=device).eval()
        self.device = device

    @torch.inference_mode()
    def __call__(self, clip: Tensor) -> np.ndarray:
        """clip: 16 3 h w in [0, 1]; result: (400,) float64."""
        square = F.interpolate(clip.to(self.device).float(), (SIDE, SIDE), mode="bilinear", align_corners=False)
        video = rearrange(2 * square - 1, "f c h w -> 1 c f h w")
        features = self.network(video, rescale=False, resize=False, return_features=True)
        return features[0].double().cpu().numpy()


def frechet_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Squared Frechet distance of the normal distributions fitted to two sets of features. a: n d; b: m d.

    |mean_a - mean_b|^2 + trace(S_a) + trace(S_b) - 2 trace((S_a S_b)^(1/2)). Source: Dowson & Landau 1982.
    With S = R^T R, the last trace is the sum of the singular values of R_a R_b^T. It stays exact if there are fewer
    clips than features and S has no inverse. Raises ValueError for fewer than two rows.
    """
    if min(len(a), len(b)) < 2:
        raise ValueError(f"FVD needs at least 2 clips in each folder, there are {min(len(a), len(b))}: leave out fvd")
    roots = [_root_of_covariance(features) for features in (a, b)]
    shift = a.mean(0) - b.mean(0)
    shared = np.linalg.svd(roots[0] @ roots[1].T, compute_uv=False).sum()
    distance = shift @ shift + sum((root**2).sum() for root in roots) - 2 * shared
    return max(float(distance), 0.0)  # rounding may put equal sets below 0


def _root_of_covariance(features: np.ndarray) -> np.ndarray:
    """R with at most d rows, such that R^T R is the sample covariance."""
    centered = (features - features.mean(0)) / np.sqrt(len(features) - 1)
    return centered if len(centered) <= centered.shape[1] else np.asarray(np.linalg.qr(centered, mode="r"))


def fvd_estimate(
    results: Sequence[np.ndarray], truths: Sequence[np.ndarray], *, seed: int, draws: int, level: float
) -> Estimate:
    """FVD and its interval over pairs of videos, from at most DRAWS draws. results, truths: (clips, d) of each video.

    FVD falls with the number of clips, so compare only values from equally many clips.
    """

    def statistic(videos: np.ndarray) -> float:
        return frechet_distance(*(np.concatenate([own[index] for index in videos]) for own in (results, truths)))

    return centered_estimate(statistic, len(results), seed=seed, draws=min(draws, DRAWS), level=level)
