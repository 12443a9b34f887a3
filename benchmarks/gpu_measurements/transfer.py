"""Moving the weights between main memory and the GPU: what offloading costs."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from unianimate_core.model import UNet

from .measurement import Bench, Row, costs

Moves = dict[str, Callable[[], list[Tensor]]]


def offloading(bench: Bench, *, pinned: bool) -> list[Row]:
    """All weights in fp16, to the GPU and back, from pageable or from pinned memory."""
    unet = UNet(bench.config, device="meta", dtype=torch.float16).to_empty(device="cpu")
    host = [parameter.detach().zero_() for parameter in unet.parameters()]
    if pinned and bench.device.type == "cuda":
        host = [tensor.pin_memory() for tensor in host]
    card = [tensor.to(bench.device) for tensor in host]
    moves: Moves = {
        "to the GPU": lambda: [tensor.to(bench.device, non_blocking=pinned) for tensor in host],
        "back, into memory that is held": lambda: [
            old.copy_(tensor, non_blocking=pinned) for old, tensor in zip(host, card, strict=True)
        ],
    }
    if not pinned:  # as Module.to("cpu") does
        moves["back, into new memory"] = lambda: [tensor.to("cpu") for tensor in card]
    gigabytes = sum(tensor.nbytes for tensor in host) / 1e9
    rows: list[Row] = []
    for name, cost in costs(bench, moves).items():
        if cost is not None:
            rows.append({"direction": name, "GB": gigabytes, "s": cost.times, "GB/s": gigabytes / cost.median})
    return rows
