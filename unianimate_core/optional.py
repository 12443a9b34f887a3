"""Packages that only some parts need, imported when they are first used."""

from __future__ import annotations

import importlib
from typing import Any


def require(module: str, purpose: str, *, package: str | None = None, extra: str | None = None) -> Any:
    """Import a module that may be missing.

    purpose: what needs it, the subject of the message. package: its name for pip, if it differs from the module's.
    extra: the extra of this pack that brings it. Raises ImportError with the command that installs it.
    """
    package = package or module.partition(".")[0]
    try:
        return importlib.import_module(module)
    except ImportError as error:
        missing = isinstance(error, ModuleNotFoundError)
        state = "is not installed" if missing else f"does not load ({error})"
        raise ImportError(f"{purpose} needs {package}, which {state}: {_remedy(package, extra)}") from error


def _remedy(package: str, extra: str | None) -> str:
    remedy = f"run pip install {package}"
    return remedy if extra is None else f'{remedy}, or pip install -e ".[{extra}]" in the folder of this pack'


class LazyModule:
    """Stands for a module until an attribute of it is used. Raises as require does, then."""

    def __init__(self, module: str, purpose: str, *, package: str | None = None, extra: str | None = None):
        self._arguments = (module, purpose, package, extra)

    def __getattr__(self, name: str) -> Any:
        module, purpose, package, extra = self._arguments
        return getattr(require(module, purpose, package=package, extra=extra), name)
