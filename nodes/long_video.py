"""The long video node."""

from __future__ import annotations

from comfy_api.latest import InputImpl, io

from ..unianimate_core.content_hash import content_hash
from ..unianimate_core.long_video import split_segments
from ..unianimate_core.model.conditions import PoseRange
from ..unianimate_core.segment_store import open_run, segment_keys
from .conditioning import guidance_inputs, pose_inputs
from .long_clips import LongClips, model_hash
from .long_run import LongProgress, segments_folder, video_file
from .long_sampling import LongVideo, Settings, with_windows
from .sampling import sampling_inputs, tell_late_start


class LongVideoChain(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LongVideoChain",
            display_name="UniAnimate Long Video",
            category="UniAnimate",
            description="Animates a reference picture by any number of poses. Finished segments are kept on disk: "
            "after an interruption or a crash, running the same graph goes on where it stopped.",
            search_aliases=["unianimate", "long video", "pose to video"],
            inputs=[
                *guidance_inputs(),
                # A seed that changes by itself would be another video each time, and never go on with one.
                *sampling_inputs(prior=939, seed_control=io.ControlAfterGenerate.fixed),
                *pose_inputs(),
                *length_inputs(),
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
        poses,
        seed,
        steps,
        guidance,
        sampler,
        scheduler,
        noise_prior,
        offset_noise,
        ending,
        pose_strength,
        pose_start,
        pose_end,
        segment_length,
        method,
        overlap,
        fps,
        **pictures,
    ) -> io.NodeOutput:
        pose_range = PoseRange(pose_strength, pose_start, pose_end)
        clips = LongClips(model, vae, poses, **pictures, pose_range=pose_range, node_id=cls.hidden.unique_id)
        tell_late_start(cls.hidden.unique_id, model, scheduler, steps, noise_prior)
        if method == "windows":
            segments = [range(len(poses))]
            model = with_windows(model, len(poses), segment_length, overlap)
        else:
            segments = split_segments(len(poses), segment_length)
        settings = Settings(seed, noise_prior, offset_noise, (steps, guidance, sampler, scheduler, ending))
        run = content_hash(model_hash(model), clips.shared_hash(), settings)
        keys = segment_keys(run, ((len(frames), clips.poses_hash(frames)) for frames in segments))
        progress = LongProgress(model, len(segments), cls.hidden.unique_id)
        with open_run(segments_folder(), run) as store, video_file(fps) as (path, add):
            video = LongVideo(model, vae, clips, settings, segments, keys, store, progress)
            latents = video.windows(add) if method == "windows" else video.chain(add)
        return io.NodeOutput(InputImpl.VideoFromFile(str(path)), {"samples": latents})


def length_inputs() -> list[io.Input]:
    """How clips become a long video."""
    return [
        io.Int.Input(
            "segment_length",
            default=32,
            min=2,
            max=4096,
            tooltip="Frames of a segment, or of a window. 16 and 32 are what was trained; fewer need less memory.",
        ),
        io.Combo.Input(
            "method",
            options=["chain", "windows"],
            default="chain",
            tooltip="chain: each segment begins with the last frame of the one before; memory stays the same. "
            "windows: all frames at once, in overlapping windows.",
        ),
        io.Int.Input(
            "overlap",
            default=8,
            min=0,
            max=4095,
            tooltip="Frames that two windows share; segments of a chain always share one. More is smoother and slower.",
        ),
        io.Float.Input(
            "fps", default=30.0, min=0.1, max=240.0, step=0.01, tooltip="Frames a second: connect that of Pose Align."
        ),
    ]
