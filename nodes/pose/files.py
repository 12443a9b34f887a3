"""Nodes that load and save keypoints as JSON, in the form of ComfyUI's SDPose nodes and most preprocessors."""

from __future__ import annotations

import os
from pathlib import Path

import folder_paths
from comfy_api.latest import io

from ...unianimate_core.pose import read_keypoints, write_keypoints
from .keypoints import PoseKeypoints


def json_files() -> list[str]:
    """JSON files in ComfyUI's input folder, or one line that says there are none."""
    folder = Path(folder_paths.get_input_directory())
    return sorted(path.name for path in folder.glob("*.json")) or ["no .json file in the input folder"]


class UniAnimateLoadKeypoints(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="UniAnimateLoadKeypoints",
            display_name="UniAnimate Load Keypoints",
            category="UniAnimate",
            description="Loads keypoints from a JSON file in the input folder.",
            search_aliases=["load keypoints", "load pose", "openpose json", "pose keypoint"],
            inputs=[
                io.Combo.Input(
                    "file",
                    options=json_files(),
                    tooltip="A .json file in ComfyUI's input folder; press R to refresh the list.",
                )
            ],
            outputs=[PoseKeypoints.Output(display_name="keypoints", tooltip="All people in each frame of the file.")],
        )

    @classmethod
    def validate_inputs(cls, file: str) -> bool | str:
        if not folder_paths.exists_annotated_filepath(file):
            return f"{file} is not in {folder_paths.get_input_directory()}: put the file with the keypoints there"
        return True

    @classmethod
    def fingerprint_inputs(cls, file: str) -> float:
        return os.path.getmtime(folder_paths.get_annotated_filepath(file))

    @classmethod
    def execute(cls, file: str) -> io.NodeOutput:
        frames = read_keypoints(folder_paths.get_annotated_filepath(file))
        if not frames:
            raise ValueError(f"{file} holds 0 frames of keypoints: choose a file with at least one")
        return io.NodeOutput(frames)


class UniAnimateSaveKeypoints(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="UniAnimateSaveKeypoints",
            display_name="UniAnimate Save Keypoints",
            category="UniAnimate",
            description="Saves keypoints of bodies, feet, hands and faces to a JSON file in the output folder.",
            search_aliases=["save keypoints", "save pose", "openpose json", "pose keypoint"],
            inputs=[
                PoseKeypoints.Input("keypoints", tooltip="From DWPose Extract, Pose Align, SDPose or another pack."),
                io.String.Input(
                    "filename_prefix",
                    default="poses/UniAnimate",
                    tooltip="Folder and beginning of the file's name, within the output folder.",
                ),
            ],
            outputs=[io.String.Output(display_name="path", tooltip="Path of the saved file.")],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, keypoints, filename_prefix: str) -> io.NodeOutput:
        folder, name, counter, subfolder, _ = folder_paths.get_save_image_path(
            filename_prefix, folder_paths.get_output_directory()
        )
        path = Path(folder) / f"{name}_{counter:05}_.json"
        write_keypoints(path, keypoints)
        saved = {"filename": path.name, "subfolder": subfolder, "type": "output"}
        return io.NodeOutput(str(path), ui={"files": [saved]})
