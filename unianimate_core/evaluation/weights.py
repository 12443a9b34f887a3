"""The published weight files that some metrics need: name, source, size and hash.

The user downloads them. The code never does.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch


@dataclass(frozen=True)
class WeightFile:
    """name: of the file; metric: that needs it; source: its address; size: bytes; sha256: in hex."""

    name: str
    metric: str
    source: str
    size: int
    sha256: str

    def locate(self, folder: Path) -> Path:
        """The path of the file in the folder. Raises FileNotFoundError, or ValueError if the file differs."""
        path = folder / self.name
        if not path.is_file():
            raise FileNotFoundError(
                f"{self.metric} needs {self.name} ({self.size / 1e6:.0f} MB), which is not in {folder}: "
                f"download it from {self.source} and put it there, or name its folder with --weights"
            )
        if path.stat().st_size != self.size or _sha256(path) != self.sha256:
            raise ValueError(
                f"{path} is not the published {self.name} ({self.size:,} bytes, SHA-256 {self.sha256}): "
                f"download it again from {self.source}"
            )
        return path


I3D = WeightFile(
    name="i3d_torchscript.pt",
    metric="FVD",
    source="https://www.dropbox.com/s/ge9e5ujwgetktms/i3d_torchscript.pt?dl=1 "
    "or https://huggingface.co/flateon/FVD-I3D-torchscript",
    size=51_235_320,
    sha256="bec6519f66ea534e953026b4ae2c65553c17bf105611c746d904657e5860a5e2",
)
BACKBONES = {
    "vgg": WeightFile(
        name="vgg16-397923af.pth",
        metric="LPIPS",
        source="https://download.pytorch.org/models/vgg16-397923af.pth",
        size=553_433_881,
        sha256="397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
    ),
    "alex": WeightFile(
        name="alexnet-owt-7be5be79.pth",
        metric="LPIPS",
        source="https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
        size=244_408_911,
        sha256="7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
    ),
}
"""The backbones of LPIPS. The package lpips contains its linear weights."""


def default_folder() -> Path:
    """PyTorch's own folder, TORCH_HOME/hub/checkpoints, which may hold the files already."""
    return Path(torch.hub.get_dir()) / "checkpoints"


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()
