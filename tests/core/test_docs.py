"""What README.md and docs/ name exists: links, files, commands, options, make targets, nodes, workflows, imports."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import ROOT
from unianimate_core.__main__ import main
from unianimate_core.model_files import PUBLISHED

README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md")), ROOT / "models/mini/README.md"]
FOLDERS = ("benchmarks", "docs", "locales", "nodes", "tests", "unianimate_core", "web", "workflows", ".ci")

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def code_lines(text: str) -> Iterator[str]:
    """Indented and fenced lines with their continuations joined, and spans in backticks."""
    text = re.sub(r"\\\n\s*", "", text)
    fenced = False
    for line in text.splitlines():
        if line.startswith("```"):
            fenced = not fenced
        elif fenced or line.startswith("    "):
            yield line.strip()
        else:
            yield from re.findall(r"`([^`]+)`", line)


def heading_anchors(page: Path) -> set[str]:
    """The anchors GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def table_rows(text: str, heading: str) -> list[list[str]]:
    """The cells of each row of the first table below a heading."""
    section = re.split(r"^#+ ", text.split(f"\n## {heading}\n")[1], flags=re.MULTILINE)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def in_backticks(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


@every_page
def test_every_relative_link_leads_to_a_file_and_a_heading(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if target.startswith("http"):
            continue
        path, _, anchor = target.partition("#")
        linked = page if not path else (page.parent / path).resolve()
        assert linked.exists(), f"{page.name} links to {target}"
        assert not anchor or anchor in heading_anchors(linked), f"{page.name} links to {target}"


@every_page
def test_every_file_that_a_page_names_exists(page):
    """Paths may begin at the root or in unianimate_core, as the map of the code writes them."""
    core = ROOT / "unianimate_core"
    rooms = {path.name for path in core.iterdir()}
    for code in code_lines(page.read_text()):
        for path in re.findall(r"(?<![\w./-])[\w.-]+(?:/[\w.-]*)+|(?<![\w./-])\w+\.py\b", code):
            first = path.split("/")[0]
            if first in FOLDERS or first in rooms or re.fullmatch(r"\w+\.py", path):
                assert (ROOT / path).exists() or (core / path).exists() or (page.parent / path).exists(), path


def assert_command_exists(code: str, capsys) -> None:
    """Whether a line's command of the core exists, and its options; a line without one passes."""
    call = re.search(r"-m unianimate_core ([a-z-]+)(.*)", code)
    if call is None:
        return
    command, arguments = call.groups()
    with pytest.raises(SystemExit, match=r"^0$"):
        main([command, "--help"])
    helped = capsys.readouterr().out
    for option in re.findall(r"(?<!\S)--[a-z-]+", arguments):
        assert re.search(rf"{option}(?![\w-])", helped), f"{command} has no {option}"


@every_page
def test_every_command_and_its_options_exist(page, capsys):
    for code in code_lines(page.read_text()):
        assert_command_exists(code, capsys)


def test_every_command_of_the_makefile_and_its_options_exist(capsys):
    """make mini takes hours before it reaches some of them."""
    text = re.sub(r"\\\n\s*", "", (ROOT / "Makefile").read_text())
    core = "-m unianimate_core"
    lines = text.replace("$(CORE)", core).replace("$(TRAIN)", f"{core} train").splitlines()
    for line in lines:
        assert_command_exists(line, capsys)
    assert sum(core in line for line in lines) > 5


@every_page
def test_every_benchmark_and_its_options_exist(page):
    folder = ROOT / "benchmarks"
    sources = "\n".join(path.read_text() for path in folder.rglob("*.py"))
    for code in code_lines(page.read_text()):
        for name in re.findall(r"\bbenchmarks\.(\w+)", code):
            assert (folder / f"{name}.py").is_file() or (folder / name / "__main__.py").is_file(), name
            for option in re.findall(r" (--[a-z-]+)", code):
                assert f'"{option}"' in sources, f"{page.name}: benchmarks.{name} has no {option}"


@every_page
def test_every_make_target_exists(page):
    targets = set(re.findall(r"^([a-z][\w-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for code in code_lines(page.read_text()):
        for target in re.findall(r"(?:^|\S )make ([a-z-]+)", code):
            assert target in targets, f"{page.name} names make {target}"


@every_page
def test_every_python_example_parses_and_imports_what_exists(page):
    for block in re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL):
        for node in ast.parse(block).body:
            if isinstance(node, ast.ImportFrom):
                assert all(exists(node.module or "", alias.name) for alias in node.names), ast.unparse(node)


def test_the_map_lists_every_file_and_folder_of_the_core():
    listed = next(block for block in (ROOT / "docs/architecture.md").read_text().split("\n\n") if "__main__" in block)
    entries = [path for path in (ROOT / "unianimate_core").iterdir() if not path.name.startswith((".", "__pycache__"))]
    assert sorted(listed.split()) == sorted(path.stem for path in entries if path.name != "__init__.py")


def exists(module: str, name: str) -> bool:
    """Whether `from module import name` works."""
    imported = importlib.import_module(module)
    return hasattr(imported, name) or importlib.util.find_spec(f"{module}.{name}") is not None


def registered_node_ids() -> set[str]:
    """The ids of the classes that nodes/__init__.py lists, read without ComfyUI."""
    ids = {}
    for path in (ROOT / "nodes").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef) and (found := re.search(r"node_id='(\w+)'", ast.unparse(node))):
                ids[node.name] = found[1]
    listed = re.search(r"get_node_list.*?return \[(.*?)\]", (ROOT / "nodes/__init__.py").read_text(), re.DOTALL)
    assert listed is not None
    return {ids[name] for name in re.findall(r"\w+", listed[1])}


def test_the_readme_lists_every_node_by_its_id():
    listed = [name for _, ids, _ in table_rows(README.read_text(), "Nodes") for name in in_backticks(ids)]
    assert sorted(listed) == sorted(registered_node_ids())


def test_the_readme_lists_every_workflow():
    listed = [name for cell, _ in table_rows(README.read_text(), "Workflows") for name in in_backticks(cell)]
    assert sorted(listed) == sorted(path.stem for path in (ROOT / "workflows").glob("*.json"))


@pytest.mark.parametrize("file", PUBLISHED.values(), ids=lambda file: file.name)
def test_the_readme_says_where_each_model_file_goes_and_where_it_is_published(file):
    """As the messages about missing files say it."""
    (row,) = [row for row in table_rows(README.read_text(), "Model files") if f"`{file.name}`" in row[0]]
    _, folder, size, source, license_name = row
    assert (folder, size) == (f"`{file.folders[0]}`", file.size)
    assert file.source.split()[0] in source
    assert license_name in file.source


@every_page
def test_every_node_input_in_a_table_exists(page):
    """Tables of inputs and settings have these words as their first heading."""
    nodes = "\n".join(path.read_text() for path in (ROOT / "nodes").rglob("*.py"))
    for table in re.findall(r"^\| (?:input|setting) \|.*\n\|[-|]+\n((?:\|.*\n)+)", page.read_text(), re.MULTILINE):
        for row in table.splitlines():
            for name in in_backticks(row.split("|")[1]):
                assert re.search(rf'"{name}"|\b{name}:', nodes), f"{page.name}: no node has the input {name}"
