"""What a run is made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from accelerate import Accelerator
from torch import Tensor, nn

from ...model import UNet
from ..data.sequences import PreparedSequence
from ..settings import RunSettings, TrainingSettings


class Trained(Protocol):
    """What is trained of a network: NetworkWeights or LoraAdapters. stored, restored: to names in files and back."""

    file_name: str
    parameters: dict[str, nn.Parameter]

    @property
    def metadata(self) -> dict[str, str]: ...
    def stored(self, tensors: Any) -> dict[str, Tensor]: ...
    def restored(self, tensors: Any) -> dict[str, Tensor]: ...


class Validate(Protocol):
    def __call__(self, unet: UNet, step: int, accelerator: Accelerator) -> dict[str, float]:
        """Called in all processes at once with the mean weights in place; results count in the main process."""
        ...


@dataclass(frozen=True)
class Job:
    """A run. folder: of its states, curves and result; identity: what of data, VAE and start decides its outcome.

    loss: of Clips, b of them: b values.
    """

    folder: Path
    settings: TrainingSettings
    run: RunSettings
    unet: UNet
    trained: Trained
    loss: nn.Module
    sequences: list[PreparedSequence]
    validate: Validate | None = None
    identity: dict[str, Any] = field(default_factory=dict)

    def whole_identity(self) -> dict[str, Any]:
        return {"settings": self.settings.plain(), **self.identity}
