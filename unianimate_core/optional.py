"""Imports packages that only some parts need, when they are first used. A missing one is named with its remedy."""

from __future__ import annotations

import importlib
from typing import Any


def require(module: str, purpose: str, *, package: str | None = None, extra: str | None = None) -> Any:
    """Import a module that may be missing.

    purpose: what needs the module; the subject of the message. package: its name for pip, by default the module's
    first name. extra: the extra of this pack that contains it.
    Raises ImportError, whose message says how to install the package.
    """
    top = module.partition(".")[0]
    package = package or top
    try:
        return importlib.import_module(module)
    except ImportError as error:
        missing = isinstance(error, ModuleNotFoundError) and error.name in (top, package)  # and nothing that it needs
        state = "is not installed" if missing else f"does not load ({error})"
        raise ImportError(f"{purpose} needs {package}, which {state}: {_remedy(package, extra)}") from error


def _remedy(package: str, extra: str | None) -> str:
    remedy = f"run pip install {package}"
    return remedy if extra is None else f'{remedy}, or pip install -e ".[{extra}]" in the folder of this pack'


class LazyModule:
    """A module that may be missing, imported when the first of its attributes is used. Takes the arguments of require.

    Raises the ImportError of require at that moment.
    """

    def __init__(self, module: str, purpose: str, *, package: str | None = None, extra: str | None = None):
        self._arguments = (module, purpose, package, extra)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # asked by tools that look at any object, such as copy and inspect
            raise AttributeError(name)
        module, purpose, package, extra = self._arguments
        return getattr(require(module, purpose, package=package, extra=extra), name)
