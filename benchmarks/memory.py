"""Working memory of one pass, counted, not measured: every tensor that is alive, on the meta device.

It needs no GPU and no weights, and is exact for what PyTorch allocates; a kernel's own workspace and the allocator's
rounding come on top. Attention is counted as a fused kernel: only its result is allocated.

    python -m benchmarks.memory --frames 32 --width 512 --height 768
"""

from __future__ import annotations

import argparse
import weakref
from pathlib import Path

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from unianimate_core.config import RELEASED, ModelConfig
from unianimate_core.model import UNet
from unianimate_core.model.backend import Backend


class LiveMemory(TorchDispatchMode):
    """Sums the storages that operations make, until they are freed."""

    def __init__(self):
        super().__init__()
        self.live, self.peak = 0, 0
        self.known: set[int] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        given = {id(x.untyped_storage()) for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)}
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, Tensor):
                self._count(tensor.untyped_storage(), given)
        return out

    def _count(self, storage: torch.UntypedStorage, given: set[int]) -> None:
        key = storage._cdata
        if key in self.known or id(storage) in given:
            return
        size = storage.nbytes()
        self.known.add(key)
        self.live += size
        self.peak = max(self.peak, self.live)
        weakref.finalize(storage, self._free, key, size)

    def _free(self, key: int, size: int) -> None:
        self.known.discard(key)
        self.live -= size


def fused_attention(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    return torch.empty(q.shape, dtype=q.dtype, device=q.device)


def count(
    frames: int,
    width: int,
    height: int,
    dtype: torch.dtype,
    split_bytes: int | None,
    config: ModelConfig = RELEASED,
) -> tuple[int, int]:
    """Peak bytes beside the weights and the inputs: of embedding the conditions once, and of one pass."""
    unet = UNet(config, dtype=dtype, device="meta", attention=fused_attention, split_bytes=split_bytes)
    unet.requires_grad_(False)

    def made(*shape: int) -> Tensor:
        return torch.empty(*shape, device="meta", dtype=dtype)

    h, w = height // 8, width // 8
    with torch.no_grad():
        with LiveMemory() as embedding:
            conditions = unet.embed(
                text=made(1, 77, config.context_dim),
                image=made(1, 1, config.context_dim),
                pose=made(1, 3, frames, height, width),
                reference_pose=made(1, 3, 1, height, width),
                reference_latent=made(1, 4, 1, h, w),
                first_frame=made(1, 3, 1, height, width),
            )
        x, t = made(1, 4, frames, h, w), torch.empty(1, device="meta")
        with LiveMemory() as denoising:
            unet.denoise(x, t, conditions)
    return embedding.peak, denoising.peak


SIZES = ((1, 512, 768), (16, 512, 768), (32, 512, 768), (64, 512, 768), (32, 768, 1216))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--height", type=int, default=768)
    parser.add_argument("--report", type=Path, help="also write the table here, as Markdown")
    arguments = parser.parse_args()
    sizes = SIZES if arguments.frames is None else ((arguments.frames, arguments.width, arguments.height),)
    table = report(sizes)
    print(table)
    if arguments.report is not None:
        arguments.report.write_text(table)


def report(sizes) -> str:
    lines = [
        "# Working memory of the released network, half precision",
        "",
        "Counted on the meta device by `python -m benchmarks.memory`, beside 2.83 GB of weights; no GPU was involved.",
        f"PyTorch {torch.__version__}.",
        "",
        "| frames | width x height | embedding | whole | one pass | whole | ratio |",
        "|---|---|---|---|---|---|---|",
    ]
    for frames, width, height in sizes:
        embedding, denoising = count(frames, width, height, torch.float16, Backend.split_bytes)
        whole_embedding, whole = count(frames, width, height, torch.float16, None)
        sized = [f"{size / 2**30:.2f} GB" for size in (embedding, whole_embedding, denoising, whole)]
        lines.append(f"| {frames} | {width}x{height} | {' | '.join(sized)} | {whole / denoising:.1f} |")
    split = f"{(Backend.split_bytes or 0) // 2**20} MB"
    lines += ["", f'"whole" makes nothing in pieces; otherwise wide results are made in pieces of {split}.', ""]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
