"""What the Python files of this repository import, read from their source."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.support import ROOT

# The functions that import a package by its name, see unianimate_core/optional.py.
IMPORTERS = ("require", "LazyModule", "import_module", "importorskip")


def python_files(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def module_of(path: Path) -> str:
    """The dotted name of a file below the repository's root. A folder's __init__.py has the folder's name."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> Iterator[str]:
    """Every absolute dotted name that a file imports, at the top or inside a function.

    `import a.b` and `from a import b` both give a.b. Programs that a test keeps in a string count too, and so do the
    names given to `require` and its like.
    """
    yield from _imports(ast.parse(path.read_text()), path.relative_to(ROOT).parts[:-1])


def _imports(tree: ast.AST, package: tuple[str, ...]) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level <= len(package) + 1, f"{'/'.join(package)} imports from above the repository"
            above = package[: len(package) - node.level + 1] if node.level else ()
            yield from (".".join([*above, *filter(None, [node.module]), alias.name]) for alias in node.names)
        elif isinstance(node, ast.Call) and node.args and _called(node) in IMPORTERS:
            first = node.args[0]
            if isinstance(first, ast.Constant) and isinstance(first.value, str) and first.value[:1].isalpha():
                yield first.value
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and "import " in node.value:
            yield from _imports_of_program(node.value)


def _called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def _imports_of_program(text: str) -> Iterator[str]:
    try:
        program = ast.parse(text)
    except SyntaxError:
        return  # prose
    yield from _imports(program, ())


def absolute_imports(path: Path) -> Iterator[str]:
    """The modules that a file imports by their absolute names."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            yield node.module


def import_graph(folder: str) -> dict[str, set[str]]:
    """Each module of a package with the modules of the same package that it imports, at the top or in a function."""
    files = {module_of(path): path for path in python_files(folder)}
    graph: dict[str, set[str]] = {module: set() for module in files}
    for module, path in files.items():
        for name in imports(path):
            target = name if name in files else name.rpartition(".")[0]  # `from a import b`: b may be a function of a
            if target in files:
                graph[module].add(target)
    return graph


def loaded_after(program: str) -> set[str]:
    """The names of all modules that a fresh Python has loaded after a program of import statements."""
    command = [sys.executable, "-c", f"import sys\n{program}\nprint(*sys.modules)"]
    return set(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split())
