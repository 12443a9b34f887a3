"""Distances of frames from the true frames: L1, PSNR, PSNR*, SSIM.

In each metric result and truth are f 3 h w, RGB in [0, 1]. It returns one float64 number per frame.

The paper's tables (section 4.2) follow the evaluation code of DisCo, which their notes cite. Three of its columns
differ from what their names say. Two of these are here too, only for comparison with those tables:
- PSNR there subtracts 8-bit arrays without widening them, so differences and their squares wrap around. It cannot
  fall below 24 dB for any images. PSNR* is the same number without the overflow, and compares with `psnr` here.
- L1 there is in gray levels and divided by the number of pixels, so it depends on the size of the images.
- LPIPS there gets images in [0, 1], but the network expects [-1, 1]; perceptual.py gives it [-1, 1].
The paper does not state the size of the images. Its L1 and PSNR* agree with each other at 256x256, not at 512x768.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps

import torch
import torch.nn.functional as F
from torch import Tensor

LARGEST_LEVEL = 255
SSIM_WINDOW = 7
LUMA = (0.299, 0.587, 0.114)  # BT.601, as in OpenCV's conversion to gray
PUBLISHED_PSNR_OF_EQUAL_FRAMES = 100.0

FrameMetric = Callable[[Tensor, Tensor], Tensor]


def of_each_frame(metric: FrameMetric) -> FrameMetric:
    """Turns a metric of single frames, 3 h w in float64, into one of clips. One frame's maps fit in a CPU's cache."""

    @wraps(metric)
    def of_clip(result: Tensor, truth: Tensor) -> Tensor:
        return torch.stack([metric(a.double(), b.double()) for a, b in zip(result, truth, strict=True)])

    return of_clip


@of_each_frame
def l1(result: Tensor, truth: Tensor) -> Tensor:
    """Mean absolute difference, in [0, 1]: 0 for equal frames."""
    return (result - truth).abs().mean()


@of_each_frame
def psnr(result: Tensor, truth: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of frames rounded to 8 bits, in dB; infinite for equal frames.

    10 log10(255^2 / mean squared difference over pixels and colors), without overflow.
    Source: Hore & Ziou 2010.
    """
    return _decibels(((_levels(result) - _levels(truth)) ** 2).mean() / LARGEST_LEVEL**2)


@of_each_frame
def psnr_star(result: Tensor, truth: Tensor) -> Tensor:
    """PSNR of frames in [0, 1] without rounding, in dB; infinite for equal frames.

    The paper's starred column, whose float arithmetic avoids the overflow. It equals `psnr` on frames read from files.
    The two differ slightly on frames that were resized or come directly from a decoder.
    """
    return _decibels(((result - truth) ** 2).mean())


@of_each_frame
def ssim(result: Tensor, truth: Tensor) -> Tensor:
    """Structural similarity of the gray frames: 1 for equal frames, about 0 for unrelated ones.

    Mean over all 7x7 windows that lie within the frame, evenly weighted, with sample covariances, K1 = 0.01 and
    K2 = 0.03: scikit-image's default, which the published tables used. Source: Wang et al. 2004, eq. 13.
    """
    height, width = truth.shape[-2:]
    if min(height, width) < SSIM_WINDOW:
        raise ValueError(f"frames are {width}x{height} (width x height), SSIM needs at least 7x7: leave out ssim")
    x, y = (torch.einsum("c h w, c -> h w", frame, frame.new_tensor(LUMA)) for frame in (result, truth))
    mean_x, mean_y, mean_xx, mean_yy, mean_xy = _window_means(torch.stack([x, y, x * x, y * y, x * y]))
    sample = SSIM_WINDOW**2 / (SSIM_WINDOW**2 - 1)
    variances = sample * (mean_xx - mean_x**2 + mean_yy - mean_y**2)
    covariance = sample * (mean_xy - mean_x * mean_y)
    c1, c2 = 0.01**2, 0.03**2
    similarity = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    return (similarity / ((mean_x**2 + mean_y**2 + c1) * (variances + c2))).mean()


@of_each_frame
def psnr_published(result: Tensor, truth: Tensor) -> Tensor:
    """The PSNR column of the published tables, with its overflow: takes each squared difference modulo 256.

    Never below 24.05 dB. 100 if all squared differences wrap to 0, as for equal frames.
    """
    wrapped = (_levels(result) - _levels(truth)) ** 2 % 256
    error = wrapped.mean() / LARGEST_LEVEL**2
    return torch.where(error == 0, PUBLISHED_PSNR_OF_EQUAL_FRAMES, _decibels(error))


@of_each_frame
def l1_published(result: Tensor, truth: Tensor) -> Tensor:
    """The L1 column of the published tables: mean absolute difference in gray levels, divided by height x width."""
    height, width = truth.shape[-2:]
    return (_levels(result) - _levels(truth)).abs().mean() / (height * width)


def _decibels(relative_error: Tensor) -> Tensor:
    return -10 * relative_error.log10()


def _levels(frame: Tensor) -> Tensor:
    """Whole numbers in 0..255, as in an 8-bit file."""
    return (frame * LARGEST_LEVEL).round().clamp(0, LARGEST_LEVEL)


def _window_means(maps: Tensor) -> Tensor:
    """The mean of each window, rows first, then columns. maps: n h w; result: n h-6 w-6."""
    rows = F.avg_pool2d(maps[:, None], (SSIM_WINDOW, 1), stride=1)
    return F.avg_pool2d(rows, (1, SSIM_WINDOW), stride=1)[:, 0]


@dataclass(frozen=True)
class Metric:
    """How a report shows a metric. digits: after the decimal point."""

    label: str
    larger_is_better: bool
    digits: int

    @property
    def heading(self) -> str:
        return f"{self.label} {'↑' if self.larger_is_better else '↓'}"


FRAME_METRICS: dict[str, FrameMetric] = {
    "l1": l1,
    "psnr": psnr,
    "psnr_star": psnr_star,
    "ssim": ssim,
    "l1_published": l1_published,
    "psnr_published": psnr_published,
}
LPIPS, FVD, SEAM, DRIFT = "lpips", "fvd", "seam", "drift"
METRICS = {
    "l1": Metric("L1", larger_is_better=False, digits=4),
    "psnr": Metric("PSNR", larger_is_better=True, digits=2),
    "psnr_star": Metric("PSNR*", larger_is_better=True, digits=2),
    "ssim": Metric("SSIM", larger_is_better=True, digits=4),
    LPIPS: Metric("LPIPS", larger_is_better=False, digits=4),
    FVD: Metric("FVD", larger_is_better=False, digits=1),
    SEAM: Metric("seam jump", larger_is_better=False, digits=2),
    DRIFT: Metric("drift a segment", larger_is_better=False, digits=3),
    "l1_published": Metric("L1 as published", larger_is_better=False, digits=7),
    "psnr_published": Metric("PSNR as published", larger_is_better=True, digits=2),
}
DEFAULT_METRICS = ("l1", "psnr", "psnr_star", "ssim")
