"""The published model files: what each is called, how large it is, where it belongs and where to get it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class PublishedFile:
    """name: as published. folders: ComfyUI's model folders that are searched; it belongs in the first.

    suffixes: of files that may take its place.
    """

    name: str
    size: str
    folders: tuple[str, ...]
    source: str
    suffixes: tuple[str, ...]

    def missing(self, folder: str | os.PathLike) -> str:
        """One sentence: which file is missing, how large it is, where it goes and where to get it."""
        return f"{self.name} ({self.size}) is not in {folder}: download it there from {self.source}"


CHECKPOINT = PublishedFile(
    "unianimate_16f_32f_non_ema_223000.pth",
    "5.67 GB",
    ("unianimate",),
    "https://huggingface.co/camenduru/unianimate or ModelScope iic/unianimate (research, non-commercial)",
    (".safetensors", ".pth", ".pt", ".bin"),
)
CLIP = PublishedFile(
    "open_clip_pytorch_model.bin",
    "3.94 GB",
    ("clip_vision", "text_encoders"),
    "https://huggingface.co/laion/CLIP-ViT-H-14-laion2B-s32B-b79K (MIT)",
    (),
)
VAE = PublishedFile(
    "vae-ft-mse-840000-ema-pruned.safetensors",
    "335 MB",
    ("vae",),
    "https://huggingface.co/stabilityai/sd-vae-ft-mse-original (MIT)",
    (".safetensors", ".ckpt", ".pt"),
)
BBOX_DETECTOR = PublishedFile(
    "yolox_l.onnx", "217 MB", ("dwpose",), "https://huggingface.co/yzd-v/DWPose (Apache-2.0)", ()
)
POSE_ESTIMATOR = PublishedFile(
    "dw-ll_ucoco_384.onnx", "134 MB", ("dwpose",), "https://huggingface.co/yzd-v/DWPose (Apache-2.0)", ()
)


def find_model(models: Path, file: PublishedFile) -> Path:
    """The file below a models folder: by its published name, as converted by this project, or the only one there.

    Raises FileNotFoundError, saying where to get it, and ValueError if there are several to choose from.
    """
    for folder in (models / name for name in file.folders):
        stem = Path(file.name).stem
        names = [*(f"{stem}_{precision}.safetensors" for precision in ("fp16", "bf16", "fp32")), file.name]
        for path in (folder / name for name in names):
            if path.is_file():
                return path
        others = sorted(path for path in folder.glob("*") if path.suffix in file.suffixes)
        if len(others) == 1:
            return others[0]
        if others:
            shown = ", ".join(path.name for path in others[:5])
            raise ValueError(f"{folder} has {len(others)} files that may be meant ({shown}): choose one of them")
    raise FileNotFoundError(file.missing(models / file.folders[0]))


PUBLISHED = {
    "unet": CHECKPOINT,
    "vae": VAE,
    "clip": CLIP,
    "bbox_detector": BBOX_DETECTOR,
    "pose_estimator": POSE_ESTIMATOR,
}


@dataclass(frozen=True)
class ModelFiles:
    """Where models are. models: a folder with ComfyUI's names (unianimate, vae, clip_vision, dwpose).

    unet, vae, clip, bbox_detector, pose_estimator: files in place of those found in the folder.
    mini: animate with UniAnimate-mini, which needs neither checkpoint, VAE nor CLIP.
    """

    models: Path = Path("models")
    unet: Path | None = None
    vae: Path | None = None
    clip: Path | None = None
    bbox_detector: Path | None = None
    pose_estimator: Path | None = None
    mini: bool = False

    def found(self, names: Sequence[str]) -> dict[str, Path]:
        """The files of these names. Raises FileNotFoundError or ValueError with a line for each that is missing."""
        files, problems, absent = {}, [], True
        for name in names:
            try:
                files[name] = self._file(name, PUBLISHED[name])
            except (FileNotFoundError, ValueError) as error:
                absent &= isinstance(error, FileNotFoundError)
                problems.append(str(error))
        if problems:
            raise (FileNotFoundError if absent else ValueError)("\n".join(problems))
        return files

    def _file(self, name: str, published: PublishedFile) -> Path:
        given = getattr(self, name)
        if given is None:
            try:
                return find_model(self.models, published)
            except ValueError as error:
                raise ValueError(f"{error}: --{name.replace('_', '-')} FILE") from error
        if not given.is_file():
            raise FileNotFoundError(f"there is no file {given}: give the {published.name} ({published.size})")
        return given
