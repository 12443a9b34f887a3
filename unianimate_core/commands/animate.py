"""python -m unianimate_core animate."""

from __future__ import annotations

import argparse
from pathlib import Path

DESCRIPTION = """\
Animate the person of a reference image by the motion of a driving video: find poses, align them, sample in segments,
and write a video with the driving video's speed and sound. To continue after a stop, repeat the command.
"""

EPILOG = """\
without any download, on a drawn person:
  python -m unianimate_core draw-person drawn --frames 40
  python -m unianimate_core animate drawn/reference.png drawn.mp4 --mini --poses drawn/poses.json \\
      --reference-keypoints drawn/reference.json --source-fps 8
"""


def add_animate(commands) -> None:
    command = commands.add_parser(
        "animate",
        help="animate an image of a person by a driving video",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("reference", type=Path, metavar="REFERENCE", help="image of the person to animate")
    command.add_argument(
        "driving", type=Path, metavar="DRIVING", nargs="?", help="video whose motion is followed; or give --poses"
    )
    command.add_argument("output", type=Path, metavar="OUTPUT", help="video to write: .mp4, .mov or .mkv")
    command.add_argument("--overwrite", action="store_true", help="replace OUTPUT if it exists")
    command.add_argument("--no-sound", action="store_true", help="leave the driving video's sound out")
    _add_models(command.add_argument_group("models"))
    _add_poses(command.add_argument_group("poses"))
    _add_clip(command.add_argument_group("clip"))
    _add_sampling(command.add_argument_group("sampling (defaults: the authors', or UniAnimate-mini's)"))
    _add_long(command.add_argument_group("long video"))
    command.set_defaults(run=_animate)


def _add_models(group) -> None:
    group.add_argument(
        "--models",
        type=Path,
        metavar="DIR",
        help="folder with ComfyUI's names: unianimate, vae, clip_vision, dwpose (default: the models folder of the "
        "ComfyUI that this pack is installed in, or ./models)",
    )
    group.add_argument("--mini", action="store_true", help="animate with UniAnimate-mini: drawn people, 128x192")
    for name, what in (
        ("unet", "UniAnimate checkpoint"),
        ("vae", "VAE of Stable Diffusion 1.x or 2.x"),
        ("clip", "open_clip_pytorch_model.bin"),
        ("bbox-detector", "yolox_l.onnx"),
        ("pose-estimator", "dw-ll_ucoco_384.onnx"),
    ):
        group.add_argument(f"--{name}", type=Path, metavar="FILE", help=f"{what}, if it is not below --models")
    group.add_argument("--device", default="auto", help="of the network: auto, cuda, mps or cpu (default: auto)")
    group.add_argument("--precision", choices=("auto", "fp16", "bf16", "fp32"), default="auto", help="of the network")
    group.add_argument("--pose-device", default="auto", help="of DWPose: auto, cuda, directml, coreml or cpu")


def _add_poses(group) -> None:
    group.add_argument("--poses", type=Path, metavar="FILE.json", help="driving keypoints, in place of DRIVING")
    group.add_argument(
        "--reference-keypoints", type=Path, metavar="FILE.json", help="keypoints of REFERENCE, in place of finding them"
    )
    group.add_argument("--detect-every", type=int, help="search people in every n-th frame (default: 2; 1 is exact)")
    group.add_argument("--person", choices=("tracked", "largest", "center", "score"), help="which of several people")
    group.add_argument("--gaps", choices=("interpolate", "repeat", "empty"), help="how missing keypoints are filled")
    group.add_argument("--longest-gap", type=int, metavar="FRAMES", help="longer gaps are not interpolated")
    group.add_argument("--smoothing", type=float, help="against jitter, 0 to 1 (default: 0)")
    group.add_argument("--mode", choices=("bones", "similarity", "none"), help="how poses are aligned")
    group.add_argument("--scale-from", choices=("robust", "first"), help="robust, or first as the authors")
    group.add_argument("--source-fps", type=float, help="frames a second of --poses (default: 30)")
    group.add_argument("--target-fps", type=float, help="take frames at this rate, at the motion's own speed")
    group.add_argument("--select-every-nth", type=int, metavar="N", help="take every n-th frame")
    group.add_argument("--skip-first-frames", type=int, metavar="FRAMES", help="leave out at the beginning")
    group.add_argument("--frame-load-cap", type=int, metavar="FRAMES", help="take at most so many frames")


def _add_clip(group) -> None:
    group.add_argument("--width", type=int, help="in pixels, a multiple of 64 (default: 512, mini: 128)")
    group.add_argument("--height", type=int, help="in pixels, a multiple of 64 (default: 768, mini: 192)")
    group.add_argument("--fit", choices=("crop", "pad", "stretch"), help="how the image gets this shape (crop)")
    group.add_argument("--pose-strength", type=float, help="1 as trained; try 0.8 for stiff motion")
    group.add_argument("--pose-start", type=float, help="share of the run at which poses begin to guide")
    group.add_argument("--pose-end", type=float, help="share of the run at which poses stop guiding")


def _add_sampling(group) -> None:
    group.add_argument("--seed", type=int, help="the same seed gives the same video")
    group.add_argument("--steps", type=int, help="of DDIM")
    group.add_argument("--guidance-scale", type=float, help="1 halves the time; above 4 colors burn")
    group.add_argument("--noise-prior", type=int, help="timestep of the diffused reference; 0 starts from pure noise")
    group.add_argument("--offset-noise", type=float, help="noise of a whole frame's brightness")
    group.add_argument("--ending", choices=("clean", "upstream"), help="clean, or the noise that the authors left")


def _add_long(group) -> None:
    group.add_argument("--segment-length", type=int, metavar="FRAMES", help="of a segment or a window (default: 32)")
    group.add_argument("--method", choices=("chain", "windows"), help="chain segments, or overlap windows")
    group.add_argument("--overlap", type=int, metavar="FRAMES", help="that two windows share")
    group.add_argument("--window-schedule", choices=("even", "upstream"), help="how windows lie")
    group.add_argument("--shared-frames", type=int, metavar="FRAMES", help="that two segments share (1)")
    group.add_argument("--match-colors", type=float, help="0 to 1, how far segments keep their colors (1)")
    group.add_argument("--hold-latents", action="store_true", default=None, help="sample around the shared latents")


def _animate(options: argparse.Namespace) -> None:
    from .. import mini
    from ..animation_job import AnimationJob, animate
    from ..long_video.seams import Seams
    from ..long_video.video import MATCHED, LongVideoSettings
    from ..model.conditions import PoseRange
    from ..model_files import ModelFiles
    from ..pose.retarget import RetargetOptions
    from ..sampling import SamplingSettings

    files = ModelFiles(models=options.models or default_models_folder(), **_given(options, ModelFiles, but=("models",)))
    sampling = SamplingSettings() if not options.mini else mini.SETTINGS
    seams = _changed(options, MATCHED, Seams)
    long = LongVideoSettings(**_given(options, LongVideoSettings), seams=seams)
    strength = {"strength": options.pose_strength, "start": options.pose_start, "end": options.pose_end}
    job = AnimationJob(
        reference=options.reference,
        output=options.output,
        driving=options.driving,
        poses=options.poses,
        reference_keypoints=options.reference_keypoints,
        files=files,
        sampling=_changed(options, sampling, SamplingSettings),
        long=long,
        retarget=RetargetOptions(**_given(options, RetargetOptions)),
        pose_range=PoseRange(**{name: value for name, value in strength.items() if value is not None}),
        sound=not options.no_sound,
        **_given(options, AnimationJob, only=JOB_OPTIONS),
    )
    path = animate(job)
    print(f"wrote {path}")


JOB_OPTIONS = ("width", "height", "fit", "detect_every", "overwrite", "device", "pose_device", "precision")


def default_models_folder() -> Path:
    """The models folder of the ComfyUI around this pack, or ./models."""
    around = Path(__file__).resolve().parents[4]  # ComfyUI/custom_nodes/<pack>/unianimate_core/commands/animate.py
    return around / "models" if (around / "comfy").is_dir() else Path("models")


def _given(options: argparse.Namespace, kind: type, *, only: tuple[str, ...] = (), but: tuple[str, ...] = ()) -> dict:
    """The options that were given and are fields of a dataclass."""
    from dataclasses import fields

    names = [field.name for field in fields(kind) if field.name not in but and (not only or field.name in only)]
    return {name: value for name in names if (value := getattr(options, name, None)) is not None}


def _changed(options: argparse.Namespace, defaults, kind: type):
    from dataclasses import replace

    return replace(defaults, **_given(options, kind))
