"""Low-rank adapters (LoRA), trained through peft and stored as ComfyUI's LoRA loaders read them."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ...model import UNet
from ...optional import require

PREFIX = "diffusion_model."
ADAPTER = "default"
_LINEAR_OF_TRANSFORMERS = ("qkv", "q", "kv", "out", "proj")


class LoraAdapters:
    """Adapters on every linear layer of the spatial and temporal transformers. Everything else is frozen.

    alpha equals rank, so an adapter has its full effect at strength 1. Raises ImportError if peft is not installed.
    Source: Hu et al. 2022, LoRA.
    """

    file_name = "unianimate_lora.safetensors"

    def __init__(self, unet: UNet, rank: int, seed: int = 0):
        peft = require("peft", "a LoRA", extra="training")
        self.rank = rank
        config = peft.LoraConfig(r=rank, lora_alpha=rank, target_modules=adapted_layers(unet))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            peft.inject_adapter_in_model(config, unet, adapter_name=ADAPTER)
        self.parameters: dict[str, nn.Parameter] = {
            name: parameter for name, parameter in unet.named_parameters() if parameter.requires_grad
        }

    @property
    def metadata(self) -> dict[str, str]:
        return {}

    def stored(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Tensors by ComfyUI's names: diffusion_model.<layer>.lora_A.weight, .lora_B.weight and .alpha."""
        stored = {PREFIX + name.replace(f".{ADAPTER}.", "."): tensor for name, tensor in tensors.items()}
        layers = {name.split(".lora_")[0] for name in stored}
        return stored | {f"{layer}.alpha": torch.tensor(float(self.rank)) for layer in layers}

    def restored(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Tensors by parameter name."""
        return {name: tensors[PREFIX + name.replace(f".{ADAPTER}.", ".")] for name in self.parameters}


def adapted_layers(unet: UNet) -> list[str]:
    """The names of the linear layers of transformers."""
    return [
        name
        for name, module in unet.named_modules()
        if isinstance(module, nn.Linear)
        and (".spatial.block." in name or ".temporal.block." in name)
        and name.rsplit(".", 1)[1] in _LINEAR_OF_TRANSFORMERS
    ]
