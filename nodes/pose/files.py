"""Nodes that read and write key points as JSON, as ComfyUI's SDPose nodes and the common pre-processors have it."""

from __future__ import annotations

import os
from pathlib import Path

import folder_paths
from comfy_api.latest import io

from ...unianimate_core.pose import read_keypoints, write_keypoints
from .nodes import PoseKeypoints


def json_files() -> list[str]:
    """JSON files in ComfyUI's input folder, or one line that says where they belong."""
    folder = Path(folder_paths.get_input_directory())
    return sorted(path.name for path in folder.glob("*.json")) or ["no .json file in the input folder"]


class LoadPoseKeypoints(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LoadPoseKeypoints",
            display_name="Load Pose Keypoints",
            category="UniAnimate",
            description="Reads key points from a JSON file in the input folder.",
            search_aliases=["openpose json", "unianimate"],
            inputs=[io.Combo.Input("file", options=json_files(), tooltip="A .json file in ComfyUI's input folder.")],
            outputs=[PoseKeypoints.Output(display_name="keypoints")],
        )

    @classmethod
    def validate_inputs(cls, file: str) -> bool | str:
        if not folder_paths.exists_annotated_filepath(file):
            return f"{file} is not in {folder_paths.get_input_directory()}: put the key points there"
        return True

    @classmethod
    def fingerprint_inputs(cls, file: str) -> float:
        return os.path.getmtime(folder_paths.get_annotated_filepath(file))

    @classmethod
    def execute(cls, file: str) -> io.NodeOutput:
        frames = read_keypoints(folder_paths.get_annotated_filepath(file))
        if not frames:
            raise ValueError(f"{file} holds 0 frames of key points: choose a file with at least one")
        return io.NodeOutput(frames)


class SavePoseKeypoints(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SavePoseKeypoints",
            display_name="Save Pose Keypoints",
            category="UniAnimate",
            description="Writes key points, feet included, to a JSON file in the output folder, to edit or use again.",
            search_aliases=["openpose json", "unianimate"],
            inputs=[
                PoseKeypoints.Input(
                    "keypoints", tooltip="From DWPose Extract, Pose Align, SDPose or another pre-processor."
                ),
                io.String.Input(
                    "filename_prefix", default="poses/UniAnimate", tooltip="Folder and beginning of the file's name."
                ),
            ],
            outputs=[io.String.Output(display_name="file", tooltip="Path of the file that was written.")],
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
