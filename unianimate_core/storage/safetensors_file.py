"""The one place that writes safetensors files."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from .atomic import replacing

_ERROR_NUMBER = re.compile(r"(?:os error |code: )(\d+)")  # of the system, within a message of safetensors


def write_safetensors(
    destination: str | os.PathLike, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None
) -> None:
    """Write tensors to a file that is either whole or absent, and on the disk when this returns.

    Tensors may have any device and strides, and may share memory; each is stored on its own, in its own dtype. One
    that is contiguous on the CPU and shares no memory is written without a copy.
    Raises NoRoom if the disk is too full, and OSError if the file cannot be written.
    """
    separate = _without_overlaps({name: tensor.detach().to("cpu").contiguous() for name, tensor in tensors.items()})
    with replacing(destination, sum(tensor.nbytes for tensor in separate.values())) as part:
        try:
            save_file(separate, part, metadata={"format": "pt", **(metadata or {})})
        except SafetensorError as error:
            number = _ERROR_NUMBER.search(str(error))
            if number is None:
                raise
            raise OSError(int(number[1]), os.strerror(int(number[1])), str(destination)) from error


def _without_overlaps(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors, with copies of those whose memory another one uses too: safetensors refuses to store both."""
    separate, end = dict(tensors), 0
    for name, tensor in sorted(tensors.items(), key=lambda item: item[1].data_ptr()):
        if tensor.data_ptr() < end:
            separate[name] = tensor.clone()
        else:
            end = tensor.data_ptr() + tensor.nbytes
    return separate
