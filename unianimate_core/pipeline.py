"""UniAnimatePipeline: from a reference image and poses to frames or a video file, in one call."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from .animator import Animator
from .checkpoint import load_unet
from .diffusion import StepCallback
from .encoders import ClipEncoder
from .guidance import read_guidance
from .long_video.segment_store import open_run
from .long_video.video import LongVideo, LongVideoSettings, Progress
from .media.images import Fit, as_frames
from .media.sound import Sound
from .media.video import check_destination, video_writer
from .model import UNet
from .model.conditions import PoseRange
from .precision import dtype_of
from .sampling import SamplingSettings
from .vae.autoencoder import Autoencoder, open_autoencoder


class UniAnimatePipeline(Animator):
    """Animates a reference image by poses.

        pipe = UniAnimatePipeline.from_files(unet="unianimate_fp16.safetensors", vae="vae.safetensors", clip="clip.bin")
        frames = pipe(reference_image, reference_pose, poses, SamplingSettings(seed=7))
        pipe.long_video(reference_image, reference_pose, poses, SamplingSettings(seed=7), output="dance.mp4", fps=30)

    settings: for calls that give none. The other arguments: see Animator; from_files loads them.
    """

    def __init__(
        self,
        unet: UNet,
        vae: Autoencoder,
        clip: ClipEncoder | None = None,
        *,
        settings: SamplingSettings | None = None,
        device: torch.device | str = "cpu",
    ):
        super().__init__(unet, vae, clip, device=device)
        self.settings = settings or SamplingSettings()

    @classmethod
    def from_files(
        cls,
        unet: str | os.PathLike,
        vae: str | os.PathLike,
        clip: str | os.PathLike | None = None,
        *,
        device: str = "auto",
        precision: str = "auto",
    ) -> UniAnimatePipeline:
        """Load the models.

        unet: a UniAnimate checkpoint, .pth or .safetensors. vae: of Stable Diffusion 1.x or 2.x (needs diffusers), or
        of TAESD's form. clip: open_clip_pytorch_model.bin of OpenCLIP ViT-H/14 (needs open_clip_torch), which the
        released weights were trained with. device: "auto" takes a GPU if there is one. precision: of the network;
        auto, fp16, bf16 or fp32, see auto_precision. Raises FileNotFoundError, CheckpointError if a file holds another
        network, and ImportError if a package is missing.
        """
        place = torch.device(best_device() if device == "auto" else device)
        network = load_unet(unet, dtype=dtype_of(precision, place)).requires_grad_(False).eval()
        return cls(network, open_autoencoder(vae), None if clip is None else ClipEncoder(clip), device=place)

    @classmethod
    def mini(
        cls, temporal: str = "transformer", *, device: str = "auto", precision: str = "auto"
    ) -> UniAnimatePipeline:
        """UniAnimate-mini, which comes with the pack and animates drawn people at 128x192.

        temporal: transformer or mamba. Its settings take few steps, without guidance or noise prior.
        """
        from . import mini

        pipeline = cls.from_files(mini.network_file(temporal), mini.found(mini.VAE), device=device, precision=precision)
        pipeline.settings = mini.SETTINGS
        return pipeline

    def __call__(
        self,
        reference_image: Any,
        reference_pose: Any,
        poses: Any,
        settings: SamplingSettings | None = None,
        *,
        first_frame: Any = None,
        width: int | None = None,
        height: int | None = None,
        fit: Fit = "crop",
        pose_range: PoseRange | None = None,
        progress: bool = True,
    ) -> np.ndarray:
        """Animate one clip: uint8 f H W 3, RGB, one frame for each pose. 16 to 64 frames work well.

        reference_image, first_frame: a PIL image, or an array or tensor of uint8 or of floats in [0, 1], H W 3.
        reference_pose: the person's Pose on the reference image, or that pose drawn (uint8 H W 3). poses: a list of
        Pose, or drawn poses (uint8 f H W 3), on the same canvas.
        width, height: of the result, multiples of 64; by default those of the reference image. 512x768 was trained.
        fit: how images get this shape: crop, pad or stretch. pose_range: when and how strongly the poses guide.
        Raises ValueError, in one sentence that names the input, if something does not fit.
        """
        options = {"first_frame": first_frame, "width": width, "height": height, "fit": fit, "pose_range": pose_range}
        guidance = read_guidance(reference_image, reference_pose, poses, **options)
        conditions = self.encode(guidance)
        with tqdm(desc="denoising", unit=" steps", disable=not progress) as bar:
            latents = self.sample(conditions, settings or self.settings, callback=advance(bar))
        return as_frames(self.decode(latents))

    def long_video(
        self,
        reference_image: Any,
        reference_pose: Any,
        poses: Any,
        settings: SamplingSettings | None = None,
        *,
        output: str | os.PathLike,
        fps: float = 30.0,
        long: LongVideoSettings | None = None,
        sound: Sound | str | os.PathLike | None = None,
        overwrite: bool = False,
        progress: bool = True,
        **options: Any,
    ) -> Path:
        """Animate any number of poses into a video file, .mp4, .mov or .mkv; returns its path.

        Every finished segment is kept in a folder beside the output, NAME.segments, until the video is whole. After a
        stop of any kind the same call continues with the first missing segment, and the video is identical.
        fps: frames a second. long: how segments are cut and joined. sound: a video or audio file whose sound is added,
        from its beginning. overwrite: replace an output that exists; otherwise it raises FileExistsError.
        options: first_frame, width, height, fit and pose_range, as for a clip.
        Raises ValueError as for a clip, RunBusy while another process makes this video, and OSError on a full disk.
        """
        output = check_destination(output)
        if output.exists() and not overwrite:
            raise FileExistsError(f"{output} exists and is kept: choose another name, or allow it to be overwritten")
        guidance = read_guidance(reference_image, reference_pose, poses, **options)
        video = LongVideo(self, guidance, settings or self.settings, long or LongVideoSettings())
        folder = segments_folder(output)
        with (
            open_run(folder, video.hash) as store,
            video_writer(output, fps, sound=sound) as writer,
            ProgressBars(output.name, video, shown=progress) as bars,
        ):
            for images in video.images(store, bars):
                for frame in as_frames(images):
                    writer.write(frame)
                    bars.frames.update()
        shutil.rmtree(folder, ignore_errors=True)
        return output


def segments_folder(output: Path) -> Path:
    """Where the finished segments of a video are kept until it is whole."""
    return output.with_name(f"{output.name}.segments")


def best_device() -> str:
    """The fastest kind of device that is there."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


class ProgressBars(Progress):
    """One bar of frames, and one of the steps of the segment under way. A context manager."""

    def __init__(self, name: str, video: LongVideo, *, shown: bool):
        self.segments = len(video.plan.segments)
        self.frames = tqdm(desc=name, total=video.plan.total, unit=" frames", disable=not shown)
        self.steps = tqdm(unit=" steps", disable=not shown, leave=False)

    def __enter__(self) -> ProgressBars:
        return self

    def __exit__(self, *_: object) -> None:
        self.steps.close()
        self.frames.close()

    def sampling_starts(self, finished: int) -> None:
        if finished and not self.frames.disable:
            tqdm.write(f"continuing: {finished} of {self.segments} segments are finished")

    def callback(self, segment: int) -> StepCallback:
        self.steps.reset()
        self.steps.set_description(f"segment {segment + 1} of {self.segments}")
        return advance(self.steps)


def advance(bar: tqdm) -> StepCallback:
    """A callback for ddim_sample that advances a bar of steps."""

    def after_step(step: int, steps: int, x0: Tensor) -> None:
        bar.total = steps
        bar.update()

    return after_step
