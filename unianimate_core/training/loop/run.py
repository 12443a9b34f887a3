"""Everything that one run needs, ready to train."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from torch import Tensor, nn

from ...model import UNet
from ..data.sequences import PreparedSequence
from ..settings import RunSettings, TrainingSettings

if TYPE_CHECKING:
    from accelerate import Accelerator


class TrainedWeights(Protocol):
    """The weights that a run trains: NetworkWeights or LoraAdapters.

    parameters: by name in the network. stored, restored: from these names to those in files, and back.
    metadata: of the files. file_name: of the result.
    """

    file_name: str
    parameters: dict[str, nn.Parameter]

    @property
    def metadata(self) -> dict[str, str]: ...
    def stored(self, tensors: Any) -> dict[str, Tensor]: ...
    def restored(self, tensors: Any) -> dict[str, Tensor]: ...


class Validate(Protocol):
    def __call__(self, unet: UNet, step: int, accelerator: Accelerator) -> dict[str, float]:
        """Called in all processes at once, while the network holds the EMA. The main process keeps the results."""
        ...


@dataclass(frozen=True)
class Run:
    """A network, its loss and its data, with the settings to train it.

    folder: gets states, curves and the result. settings: with a precision other than "auto".
    loss: a module that maps b Clips to b values. identity: what decides the outcome besides the settings, as JSON:
    data, VAE, and the weights at the start.
    """

    folder: Path
    settings: TrainingSettings
    run_settings: RunSettings
    unet: UNet
    trained: TrainedWeights
    loss: nn.Module
    sequences: list[PreparedSequence]
    validate: Validate | None = None
    identity: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        assert self.settings.precision != "auto", "the identity records the precision that was used"

    def full_identity(self) -> dict[str, Any]:
        """Everything that decides the outcome, as JSON. A run in the same folder must have the same."""
        return {"settings": self.settings.as_json(), **self.identity}
