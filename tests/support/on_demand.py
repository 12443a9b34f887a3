"""Layers of a host that loads weights on demand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from torch import Tensor, nn

from unianimate_core.model import UNet


class OnDemand(nn.Module):
    """A layer whose weights exist only while its own forward runs."""

    loaded: dict[str, nn.Parameter]


def on_demand(layer: type[nn.Module]) -> type[OnDemand]:
    class Layer(OnDemand, layer):
        def __init__(self, *args: Any, **kwargs: Any):
            super().__init__(*args, **kwargs)
            self.loaded = dict(self.named_parameters())
            self._unload()

        def reset_parameters(self) -> None:
            """Initializes nothing: the file brings all weights."""

        def forward(self, x: Tensor) -> Tensor:
            self._parameters.update(self.loaded)
            result = super().forward(x)
            self._unload()
            return result

        def _unload(self) -> None:
            self._parameters.update(dict.fromkeys(self.loaded))

    return Layer


def host_operations(*layers: type[nn.Module]) -> SimpleNamespace:
    """A namespace of on-demand layers, for the operations of UNet."""
    return SimpleNamespace(**{layer.__name__: on_demand(layer) for layer in layers})


def give_weights(unet: UNet, source: UNet) -> None:
    """Give each on-demand layer of unet the weights of the same layer of source."""
    for name, layer in unet.named_modules():
        if isinstance(layer, OnDemand):
            layer.loaded = dict(source.get_submodule(name).named_parameters())
