"""The one place that writes safetensors files."""

from __future__ import annotations

import os
from collections.abc import Mapping

from safetensors.torch import save_file
from torch import Tensor

from .atomic import replacing


def write_safetensors(
    destination: str | os.PathLike, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None
) -> None:
    """Write tensors to a file that is whole or absent, and on the disk when this returns.

    Tensors of any device, stride and size; each is stored as it is, without copies of what is contiguous on the CPU.
    Raises NoRoom if the disk is too full, and OSError if the file cannot be written.
    """
    plain = {name: tensor.detach().to("cpu").contiguous() for name, tensor in tensors.items()}
    with replacing(destination, sum(tensor.nbytes for tensor in plain.values())) as part:
        save_file(plain, part, metadata={"format": "pt", **(metadata or {})})
        with part.open("rb") as file:
            os.fsync(file.fileno())
