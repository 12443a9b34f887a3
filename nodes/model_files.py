"""The model files of the nodes in ComfyUI's folders. Nothing is downloaded."""

from __future__ import annotations

import os
from pathlib import Path

import folder_paths

from ..unianimate_core import mini
from ..unianimate_core.model_files import PublishedFile

_FOLDERS = {
    "unianimate": {".safetensors", ".pth", ".pt", ".bin"},
    "dwpose": {".onnx"},
}


def register_folders() -> None:
    """Add models/unianimate and models/dwpose to ComfyUI's folders, and keep the paths that a user configured.

    The small models that come with the pack stay in its own folder, which is searched last.
    """
    for folder, extensions in _FOLDERS.items():
        path = os.path.join(folder_paths.models_dir, folder)
        paths, known = folder_paths.folder_names_and_paths.get(folder, ([], set()))
        if path not in paths:
            paths = [*paths, path]
        folder_paths.folder_names_and_paths[folder] = (paths, set(known) | extensions)
    folder_paths.add_model_folder_path("unianimate", str(mini.NETWORKS))
    folder_paths.add_model_folder_path("vae", str(mini.VAES))


def folder_for_new(source: Path) -> Path:
    """The folder for a file made from this checkpoint: its own, or the user's first one for a checkpoint of the pack.

    An update of the pack would delete a file in the pack's folder.
    """
    if mini.NETWORKS in source.resolve().parents:
        return Path(folder_paths.get_folder_paths("unianimate")[0])
    return source.parent


def choices(file: PublishedFile) -> list[str]:
    """The files to choose from, or one line that says where they belong.

    Missing files are left out, so that ComfyUI's page shows what a workflow needs, with a link to it.
    """
    found = {name for folder in file.folders for name in _list(folder)}
    return sorted(found) or [f"no file in models/{file.folders[0]}"]


def _list(folder: str) -> list[str]:
    return folder_paths.get_filename_list(folder) if folder in folder_paths.folder_names_and_paths else []


def find(name: str, file: PublishedFile) -> str | None:
    """The path of a chosen file, in the first of its folders that holds it, or None."""
    return next((path for folder in file.folders if (path := folder_paths.get_full_path(folder, name))), None)


def missing(name: str, file: PublishedFile) -> str:
    """One sentence: which file is missing, its size, the folder it belongs in, and where to download it."""
    folder = folder_paths.get_folder_paths(file.folders[0])[0]
    if name == file.name or not any(_list(folder) for folder in file.folders):
        return file.missing(folder)
    return f"{name} is not in {folder}: put it there, or choose {file.name} ({file.size}, from {file.source})"


def all_there(*chosen: tuple[str | None, PublishedFile]) -> bool | str:
    """For a node's validation: True, or the sentences on the files that are missing.

    A name that comes through a link is None, and is not checked.
    """
    sentences = [missing(name, file) for name, file in chosen if name is not None and find(name, file) is None]
    return "; ".join(sentences) or True


def path_of(name: str, file: PublishedFile) -> str:
    """The path of a chosen file. Raises FileNotFoundError, which says where to get it, if it is missing."""
    path = find(name, file)
    if path is None:
        raise FileNotFoundError(missing(name, file))
    return path
