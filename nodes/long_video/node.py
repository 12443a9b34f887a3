"""The long video node."""

from __future__ import annotations

from collections.abc import Iterator

from comfy_api.latest import InputImpl, io

from ...unianimate_core.long_video.chain import new_frames, split_segments
from ...unianimate_core.long_video.seams import PAPERS, Seams
from ...unianimate_core.long_video.segment_store import open_run, segment_keys
from ...unianimate_core.model.conditions import PoseRange
from ...unianimate_core.storage.content_hash import content_hash
from ..conditioning import guidance_inputs, pose_inputs
from ..pose.nodes import PoseKeypoints
from ..sampling import Sampling, sampling_inputs, tell_late_start
from .clips import LongClips, model_hash
from .poses import LongPoses, long_poses
from .progress import LongProgress, segments_folder, video_file
from .sampling import LongVideo
from .windows import WINDOWS, with_windows

MATCH_COLORS = 1.0  # by benchmarks/results/drift.md


class LongVideoChain(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LongVideoChain",
            display_name="UniAnimate Long Video",
            category="UniAnimate",
            description="Animates a reference image by any number of poses. Finished segments are kept on disk: "
            "after an interruption or a crash, running the same graph goes on where it stopped.",
            search_aliases=["unianimate", "long video", "pose to video"],
            inputs=[
                *guidance_inputs(poses=pose_images_or_keypoints()),
                # A seed that changes by itself would be another video each time, and never go on with one.
                *sampling_inputs(prior=939, seed_control=io.ControlAfterGenerate.fixed),
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
        poses,
        pose_strength,
        pose_start,
        pose_end,
        segment_length,
        method,
        overlap,
        windows,
        fps,
        shared_frames,
        match_colors,
        hold_latents,
        **inputs,
    ) -> io.NodeOutput:
        sampling, guidance = Sampling.taken_from(inputs)
        pose_range, node_id = PoseRange(pose_strength, pose_start, pose_end), cls.hidden.unique_id
        poses = long_poses(poses)
        if method == "windows":
            model = with_windows(model, len(poses), segment_length, overlap, windows)
            segments, seams = [range(len(poses))], PAPERS
        else:
            seams = Seams(shared_frames, match_colors, hold_latents)
            segments = split_segments(len(poses), segment_length, shared_frames)
        clips = LongClips(model, vae, poses, **guidance, pose_range=pose_range, node_id=node_id)
        tell_late_start(node_id, model, sampling)
        run = content_hash(model_hash(model), clips.shared_hash(), sampling)
        keys = segment_keys(run, determining(segments, seams, poses))
        progress = LongProgress(model, len(segments), node_id)
        with open_run(segments_folder(), run) as store, video_file(fps) as (path, add):
            video = LongVideo(model, vae, clips, sampling, seams, segments, keys, store, progress)
            latents = video.make(add)
        return io.NodeOutput(InputImpl.VideoFromFile(str(path)), {"samples": latents})


def determining(segments: list[range], seams: Seams, poses: LongPoses) -> Iterator[tuple]:
    """What determines each segment beyond the run and the segments before it."""
    for frames, shown in zip(segments, new_frames(segments), strict=True):
        yield len(frames), len(shown), poses.hash(frames), seams if frames.start else None


def pose_images_or_keypoints() -> io.Input:
    return io.MultiType.Input(
        "poses",
        [io.Image, PoseKeypoints],
        tooltip="The driving poses, one frame each: drawn, or key points of Pose Align, which take no memory however "
        "many they are and are drawn as trained.",
    )


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
            tooltip="windows: frames that two of them share. More is smoother and slower.",
        ),
        io.Combo.Input(
            "windows",
            options=list(WINDOWS),
            default="even",
            tooltip="even: as few windows as can be, each passing softly into the next. upstream: as the authors', the "
            "last moved back, with plain means.",
        ),
        io.Float.Input(
            "fps", default=30.0, min=0.1, max=240.0, step=0.01, tooltip="Frames a second: connect that of Pose Align."
        ),
    ]


def seam_inputs() -> list[io.Input]:
    """What holds a segment of a chain to the one before."""
    return [
        io.Int.Input(
            "shared_frames",
            default=PAPERS.shared_frames,
            min=1,
            max=4095,
            tooltip="chain: frames that two segments share. 1 is the paper's; the others pass softly from one to the "
            "next, and are computed twice.",
        ),
        io.Float.Input(
            "match_colors",
            default=MATCH_COLORS,
            min=0.0,
            max=1.0,
            step=0.05,
            tooltip="chain: how far a segment takes the colors its shared frames had before; 0 as in the paper.",
        ),
        io.Boolean.Input(
            "hold_latents",
            default=PAPERS.hold_latents,
            tooltip="chain: samples around the shared frames' latents, which never pass the VAE. Against lost detail.",
        ),
    ]
