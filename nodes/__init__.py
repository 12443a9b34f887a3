"""The nodes. Each converts ComfyUI's types, makes one call into the core or ComfyUI, and converts back."""

from comfy_api.latest import ComfyExtension, io

from . import model_files
from .conditioning import UniAnimateConditioning
from .drawn_person import UniAnimateDrawnPerson
from .loading import LoadUniAnimate, UniAnimateConvert
from .long_video.node import LongVideoChain
from .pose.align import PoseAlign
from .pose.extract import DWPoseExtract
from .pose.files import UniAnimateLoadKeypoints, UniAnimateSaveKeypoints
from .sampling import UniAnimateSample


class UniAnimateExtension(ComfyExtension):
    async def on_load(self) -> None:
        model_files.register_folders()

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return [
            LoadUniAnimate,
            UniAnimateConvert,
            DWPoseExtract,
            PoseAlign,
            UniAnimateLoadKeypoints,
            UniAnimateSaveKeypoints,
            UniAnimateConditioning,
            UniAnimateSample,
            LongVideoChain,
            UniAnimateDrawnPerson,
        ]
