"""The long video node."""

from __future__ import annotations

from comfy_api.latest import InputImpl, io

from ...unianimate_core.diffusion import LONG_NOISE_PRIOR
from ...unianimate_core.guidance import Guidance
from ...unianimate_core.long_video.run import plan_chain
from ...unianimate_core.long_video.seams import Seams
from ...unianimate_core.long_video.segment_store import open_run
from ...unianimate_core.long_video.video import MATCHED, LongVideoSettings
from ...unianimate_core.long_video.windows import WINDOW_SCHEDULES
from ...unianimate_core.model.conditions import PoseRange
from ...unianimate_core.sampling import SamplingSettings
from ...unianimate_core.storage.content_hash import content_hash
from ..conditioning import Encoders, guidance_inputs, pose_inputs
from ..pose.keypoints import PoseKeypoints
from ..sampling import HostSampler, sampling_inputs, warn_late_start
from .clips import LongClips, model_hash
from .poses import long_poses
from .progress import LongProgress, segments_folder, video_file
from .sampling import LongVideo
from .windows import with_windows


class LongVideoChain(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LongVideoChain",
            display_name="UniAnimate Long Video",
            category="UniAnimate",
            description="Animates a reference image by any number of poses. Finished segments are kept on disk: "
            "after an interruption or a crash, the same graph continues where it stopped.",
            search_aliases=["unianimate", "long video", "pose to video"],
            inputs=[
                *guidance_inputs(poses=pose_images_or_keypoints()),
                # With a seed that changes by itself, every run would be another video and none could continue.
                *sampling_inputs(prior=LONG_NOISE_PRIOR, seed_control=io.ControlAfterGenerate.fixed),
                *pose_inputs(),
                *length_inputs(),
                *seam_inputs(),
            ],
            outputs=[
                io.Video.Output(tooltip="For Save Video."),
                io.Latent.Output(tooltip="One latent a frame, of all frames."),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(
        cls,
        model,
        vae,
        reference_image,
        reference_pose,
        poses,
        width,
        height,
        fit,
        seed,
        steps,
        cfg,
        sampler_name,
        scheduler,
        noise_prior,
        offset_noise,
        ending,
        pose_strength,
        pose_start_percent,
        pose_end_percent,
        segment_length,
        method,
        overlap,
        window_schedule,
        fps,
        shared_frames,
        match_colors,
        hold_latents,
        clip=None,
        clip_vision=None,
        first_frame=None,
    ) -> io.NodeOutput:
        pose_range, node_id = PoseRange(pose_strength, pose_start_percent, pose_end_percent), cls.hidden.unique_id
        driving = long_poses(poses)
        guidance = Guidance(reference_image, reference_pose, driving, width, height, fit, first_frame, pose_range)
        settings = SamplingSettings(seed, steps, cfg, noise_prior, offset_noise, ending)
        sampler = HostSampler(sampler_name, scheduler)
        seams = Seams(shared_frames, match_colors, hold_latents)
        segments, seams = LongVideoSettings(segment_length, method, overlap, window_schedule, seams).segments(
            len(driving)
        )
        if method == "windows":
            model = with_windows(model, len(driving), segment_length, overlap, window_schedule)
        clips = LongClips(model, Encoders(vae, clip, clip_vision), guidance, node_id)
        warn_late_start(node_id, model, sampler, settings)
        run = content_hash(model_hash(model), clips.shared_hash(), settings, sampler)
        plan = plan_chain(segments, seams, seed, run=run, pose_hash=driving.hash)
        video = LongVideo(model, vae, clips, settings, sampler, plan, LongProgress(model, len(segments), node_id))
        with open_run(segments_folder(), run) as store, video_file(fps) as (path, add):
            latents = video.make(store, add)
        return io.NodeOutput(InputImpl.VideoFromFile(str(path)), {"samples": latents})


def pose_images_or_keypoints() -> io.Input:
    return io.MultiType.Input(
        "poses",
        [io.Image, PoseKeypoints],
        tooltip="Driving poses, one frame each: drawn, or keypoints of Pose Align, which take no memory however many "
        "there are.",
    )


def length_inputs() -> list[io.Input]:
    """How segments become a long video."""
    return [
        io.Int.Input(
            "segment_length",
            default=32,
            min=2,
            max=4096,
            tooltip="Frames of a segment, or of a window. 16 and 32 were trained; fewer need less memory.",
        ),
        io.Combo.Input(
            "method",
            options=["chain", "windows"],
            default="chain",
            tooltip="chain: each segment begins with the last frame of the one before; memory stays the same. "
            "windows: all frames together, in overlapping windows.",
        ),
        io.Int.Input(
            "overlap",
            default=8,
            min=0,
            max=4095,
            tooltip="windows: frames that two windows share. More is smoother and slower.",
        ),
        io.Combo.Input(
            "window_schedule",
            options=list(WINDOW_SCHEDULES),
            default="even",
            tooltip="windows: even takes as few as possible, each fading into the next. upstream places and averages "
            "them as the authors' code does.",
        ),
        io.Float.Input(
            "fps", default=30.0, min=0.1, max=240.0, step=0.01, tooltip="Frames a second. Connect fps of Pose Align."
        ),
    ]


def seam_inputs() -> list[io.Input]:
    """How a segment of a chain joins the one before."""
    return [
        io.Int.Input(
            "shared_frames",
            default=MATCHED.shared_frames,
            min=1,
            max=4095,
            tooltip="chain: frames that two segments share. 1 as in the paper; more fade from one segment to the next, "
            "and are computed twice.",
        ),
        io.Float.Input(
            "match_colors",
            default=MATCHED.match_colors,
            min=0.0,
            max=1.0,
            step=0.05,
            tooltip="chain: how far a segment keeps the colors of its shared frames. 0 as in the paper.",
        ),
        io.Boolean.Input(
            "hold_latents",
            default=MATCHED.hold_latents,
            tooltip="chain: samples around the latents of the shared frames, which skip the VAE. For lost detail.",
        ),
    ]
