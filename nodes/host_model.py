"""UniAnimate as a MODEL of ComfyUI, so that its samplers, patches and memory management work with it.

Between nodes a clip is a batch of images, (T, 4, h, w). Only HostUNet.forward folds it to b 4 f h w.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import comfy.conds
import comfy.latent_formats
import comfy.model_base
import comfy.model_management
import comfy.model_patcher
import comfy.patcher_extension
import comfy.supported_models_base
import torch
from comfy.ldm.modules.attention import optimized_attention
from einops import rearrange
from torch import Tensor

from ..unianimate_core.checkpoint import read_checkpoint, to_checkpoint, to_modules
from ..unianimate_core.checkpoint.loading import HEAD_DIM_TENSOR, stored_dtype
from ..unianimate_core.config import ModelConfig
from ..unianimate_core.model import Conditions, UNet
from ..unianimate_core.model.conditions import PoseRange
from ..unianimate_core.storage.content_hash import weights_hash
from .host_checks import check_clip, check_rows, check_text, warn_of_unused_patches

CLIP_INPUTS = "unianimate"
"""The key of a CONDITIONING entry that holds ClipInputs."""
FRAMES_AT_ONCE = 16
"""Poses that are embedded in one pass."""
ALWAYS = PoseRange()


class PoseImages(Protocol):
    """A tensor f 3 H W, or anything of that shape that makes a few of its images at a time."""

    shape: torch.Size

    def __len__(self) -> int: ...

    def split(self, count: int, /) -> Iterable[Tensor]: ...


@dataclass(frozen=True)
class ClipInputs:
    """What guides one clip, as UniAnimateConditioning passes it to the model, on the CPU.

    poses: f 3 H W, and reference_pose, first_frame: 1 3 H W, all in 0..1. reference_latent: 1 4 h w, latent units.
    image: the image embedding, 1 1 C. None for what is left out.
    """

    poses: PoseImages
    reference_latent: Tensor | None = None
    reference_pose: Tensor | None = None
    image: Tensor | None = None
    first_frame: Tensor | None = None
    pose_range: PoseRange = ALWAYS


class PoseFeatures(comfy.conds.CONDRegular):
    """Pose features of a clip, T 8 h w.

    alone: the features of each image before they are mixed over time, from which those of any window are made.
    windows: the features of the windows made so far, by their frames.
    """

    def __init__(self, cond: Tensor, alone: Tensor | None = None, windows: dict | None = None):
        super().__init__(cond)
        self.alone = alone
        self.windows = {} if windows is None else windows

    def _copy_with(self, cond: Tensor):
        return PoseFeatures(cond, self.alone, self.windows)


class HostUNet(UNet):
    """The network behind the interface of ComfyUI's diffusion models."""

    def forward(self, x, timesteps, context=None, control=None, transformer_options={}, **kwargs):  # noqa: B006
        wrappers = comfy.patcher_extension.get_all_wrappers(
            comfy.patcher_extension.WrappersMP.DIFFUSION_MODEL, transformer_options
        )
        executor = comfy.patcher_extension.WrapperExecutor.new_class_executor(self._predict, self, wrappers)
        return executor.execute(x, timesteps, context, control, transformer_options, **kwargs)

    def _predict(
        self,
        x: Tensor,
        timesteps: Tensor,
        context: Tensor,
        control: Any,
        transformer_options: dict,
        pose: Tensor | None = None,
        first_frame: Tensor | None = None,
        reference: Tensor | None = None,
        image_tokens: Tensor | None = None,
        pose_range: PoseRange | None = None,
        **_,
    ) -> Tensor:
        """x: (b T) 4 h w. ComfyUI repeats the conditions to its length, so each clip takes its first."""
        if control is not None:
            raise ValueError("a ControlNet is connected to the conditioning: remove it, UniAnimate takes poses instead")
        check_rows(x, pose)
        warn_of_unused_patches(transformer_options)
        clips = len(transformer_options.get("cond_or_uncond", [0]))
        frames = len(x) // clips

        def first(cond: Tensor | None) -> Tensor | None:
            return None if cond is None else rearrange(cond, "(b t) c h w -> b c t h w", b=clips)[:, :, :1]

        text = check_text(context, self.config)[::frames]
        conditions = Conditions(
            context=self.conditions.context(text, None if image_tokens is None else image_tokens[::frames]),
            pose=None if pose is None else rearrange(pose, "(b t) c h w -> b c t h w", b=clips),
            first_frame=first(first_frame),
            reference=first(reference),
            pose_range=pose_range or ALWAYS,
        )
        clip = rearrange(x, "(b t) c h w -> b c t h w", b=clips)
        return rearrange(self.denoise(clip, timesteps[::frames], conditions), "b c t h w -> (b t) c h w")


class UniAnimate(comfy.model_base.BaseModel):
    weights_hash = ""
    """Hash of the checkpoint's weights, without patches."""

    def __init__(self, model_config, device=None):
        super().__init__(model_config, comfy.model_base.ModelType.V_PREDICTION, device=device, unet_model=HostUNet)

    @property
    def network(self) -> UNet:
        return self.diffusion_model

    def extra_conds(self, **kwargs):
        """Embeds the conditions once, for all steps of a run."""
        out = super().extra_conds(**kwargs)
        inputs: ClipInputs | None = kwargs.get(CLIP_INPUTS)
        if inputs is None:
            return out
        noise, device, dtype = kwargs["noise"], kwargs["device"], self.get_dtype_inference()
        check_clip(inputs, noise)
        encoder = self.network.conditions

        def image(tensor: Tensor) -> Tensor:
            return rearrange(tensor.to(device, dtype), "f c h w -> 1 c f h w")

        alone = torch.cat([encoder.pose.features(image(piece)) for piece in inputs.poses.split(FRAMES_AT_ONCE)], dim=2)
        out["pose"] = PoseFeatures(_as_frames(encoder.pose.mixer(alone)), _as_frames(alone))
        out["pose_range"] = comfy.conds.CONDConstant(inputs.pose_range)
        if inputs.first_frame is not None:
            out["first_frame"] = comfy.conds.CONDRegular(_as_frames(encoder.first_frame(image(inputs.first_frame))))
        if inputs.reference_latent is not None:
            pose = None if inputs.reference_pose is None else image(inputs.reference_pose)
            reference = encoder.reference_features(image(inputs.reference_latent), pose)
            out["reference"] = comfy.conds.CONDRegular(_as_frames(reference))
        if inputs.image is not None:
            out["image_tokens"] = comfy.conds.CONDRegular(encoder.image_tokens(inputs.image.to(device, dtype)))
        return out

    def resize_cond_for_context_window(self, cond_key, cond_value, window, x_in, device, retain_index_list=[]):  # noqa: B006
        """A window is a clip of its own: only its poses are mixed, and only the window of frame 0 has a first frame."""
        if cond_key == "pose" and isinstance(cond_value, PoseFeatures) and cond_value.alone is not None:
            indices = (getattr(window, "causal_anchor_index", None), *window.index_list)
            if indices not in cond_value.windows:
                alone = window.get_tensor(cond_value.alone, device, dim=0, retain_index_list=retain_index_list)
                clip = rearrange(alone, "f c h w -> 1 c f h w")
                cond_value.windows[indices] = _as_frames(self.network.conditions.pose.mixer(clip))
            return comfy.conds.CONDRegular(cond_value.windows[indices])
        if cond_key == "first_frame" and 0 not in window.index_list:
            return comfy.conds.CONDRegular(torch.zeros_like(cond_value.cond))
        return None


def _as_frames(features: Tensor) -> Tensor:
    return rearrange(features, "1 c f h w -> f c h w")


class HostConfig(comfy.supported_models_base.BASE):
    """The configuration that ComfyUI wants of a model; unet_config holds the network's own."""

    unet_config: dict = {}  # noqa: RUF012
    unet_extra_config: dict = {}  # noqa: RUF012
    latent_format = comfy.latent_formats.SD15
    # "linear" is ComfyUI's name for a schedule that is linear in the square root of beta.
    sampling_settings = {"beta_schedule": "linear", "linear_start": 0.00085, "linear_end": 0.012, "zsnr": True}  # noqa: RUF012
    # benchmarks/memory.py measures 0.48 for 32 frames; the rest is for kernels and the allocator.
    memory_usage_factor = 0.65

    def __init__(self, network: ModelConfig):
        super().__init__({})
        self.network = network
        self.unet_config = {
            "config": network,
            "attention": optimized_attention,
            "frame_attention": frame_attention,
        }

    def inpaint_model(self):
        return False

    def get_model(self, state_dict, prefix="", device=None):
        return UniAnimate(self, device=device)

    def process_unet_state_dict(self, state_dict):
        return to_modules(state_dict, self.network)

    def process_unet_state_dict_for_saving(self, state_dict):
        # If ComfyUI loads weights lazily, .to() patches and fills the parameters.
        parameters = {name: parameter.to("cpu") for name, parameter in state_dict.items()}
        stored = super().process_unet_state_dict_for_saving(to_checkpoint(parameters, self.network))
        return stored | {HEAD_DIM_TENSOR: torch.tensor(self.network.head_dim)}


def frame_attention(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    """ComfyUI's attention for many short sequences, for which low-precision kernels are no faster."""
    return optimized_attention(q, k, v, heads, low_precision_attention=False)


def load_model(path: str, dtype: torch.dtype | None = None):
    """A MODEL with the weights of a checkpoint.

    dtype: of the weights; None lets ComfyUI choose for the device. Raises FileNotFoundError and CheckpointError, see
    unianimate_core.checkpoint.read_checkpoint.
    """
    state_dict, network = read_checkpoint(path)
    config = HostConfig(network)
    parameters = sum(tensor.numel() for tensor in state_dict.values())
    load_device = comfy.model_management.get_torch_device()
    offload_device = comfy.model_management.unet_offload_device()
    supported = list(config.supported_inference_dtypes)
    if dtype is None:
        dtype = comfy.model_management.unet_dtype(
            model_params=parameters, supported_dtypes=supported, weight_dtype=stored_dtype(state_dict)
        )
    computed = comfy.model_management.unet_manual_cast(dtype, load_device, supported)
    config.set_inference_dtype(dtype, computed)
    if computed is not None:
        logging.info(f"UniAnimate: weights are stored in {dtype}, {load_device} computes in {computed}")

    model = config.get_model(state_dict, device=offload_device)
    model.weights_hash = weights_hash(state_dict)
    patcher = comfy.model_patcher.CoreModelPatcher(model, load_device=load_device, offload_device=offload_device)
    model.load_model_weights(state_dict, "", assign=patcher.is_dynamic())
    return patcher
