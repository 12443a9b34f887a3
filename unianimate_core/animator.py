"""Network, VAE and CLIP on one device, and the three stages of a clip: encode what guides it, sample, decode."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from einops import rearrange
from torch import Tensor

from .diffusion import Denoiser, StepCallback, ddim_sample, guided
from .encoders import ClipEncoder
from .guidance import Guidance
from .model import UNet
from .sampling import SamplingSettings, initial_latents
from .vae.autoencoder import Autoencoder

RELEASED_CONTEXT = 1024  # width of OpenCLIP's states, which the released network was trained with
DECODED_AT_ONCE = 4

log = logging.getLogger(__name__)


class Animator:
    """The models that animate. Without clip, zeros stand for the text states and there is no image embedding.

    device: where they compute. On a GPU, VAE and CLIP wait in main memory while they are not needed.
    """

    def __init__(
        self, unet: UNet, vae: Autoencoder, clip: ClipEncoder | None = None, *, device: torch.device | str = "cpu"
    ):
        self.unet, self.vae, self.clip = unet, vae, clip
        self.device = torch.device(device)
        if clip is None and unet.config.context_dim == RELEASED_CONTEXT:
            log.warning("no CLIP is given: zeros stand for its text states, and the likeness will suffer")

    def encode(self, guidance: Guidance) -> dict[str, Any]:
        """The conditions of a clip: keywords of UNet.embed, text included."""
        poses = rearrange(guidance.fitted_poses().whole(), "f c h w -> 1 c f h w")
        return self.encode_shared(guidance) | {"pose": poses.to(self.device)}

    @torch.no_grad()
    def encode_shared(self, guidance: Guidance) -> dict[str, Any]:
        """The conditions of a clip without its poses: what all segments of a long video share."""
        with self._computing(self.vae):
            reference = guidance.fitted(guidance.reference_image)
            reference_latent = self.vae.encode(rearrange(reference, "f c h w -> 1 c f h w")).float()
        pose, first = guidance.reference_pose, guidance.first_frame
        conditions = {
            "reference_latent": reference_latent,
            "reference_pose": None if pose is None else rearrange(guidance.fitted(pose), "f c h w -> 1 c f h w"),
            "first_frame": None if first is None else rearrange(guidance.fitted(first), "f c h w -> 1 c f h w"),
            **self._clip_states(guidance),
        }
        moved = {name: None if value is None else value.to(self.device) for name, value in conditions.items()}
        return moved | {"pose_range": guidance.pose_range}

    def _clip_states(self, guidance: Guidance) -> dict[str, Tensor | None]:
        if self.clip is None:  # one state of zeros: any number of them attend to the same nothing
            return {"text": torch.zeros(1, 1, self.unet.config.context_dim), "image": None}
        with self._computing(self.clip):
            return {"text": self.clip.empty_text(), "image": self.clip.image(guidance.seen_reference())}

    @torch.no_grad()
    def sample(
        self,
        conditions: Mapping[str, Any],
        settings: SamplingSettings,
        *,
        long_video: bool = False,
        callback: StepCallback | None = None,
    ) -> Tensor:
        """The latents of a clip, 1 4 f h w. conditions: see encode. long_video: see initial_latents."""
        start = initial_latents(conditions, settings, long_video=long_video)
        denoiser = self.denoiser(conditions, settings)
        return ddim_sample(denoiser, start, settings.steps, ending=settings.ending, callback=callback)

    def denoiser(self, conditions: Mapping[str, Any], settings: SamplingSettings) -> Denoiser:
        """The guided denoiser of a clip. Its conditions are embedded here, once."""
        self.unet.to(self.device)
        others = {name: value for name, value in conditions.items() if name != "text"}
        return guided(self.unet, others, conditions["text"], settings.guidance_scale)

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """The images of latents, 1 4 f h w: 1 3 f H W in [0, 1], on the CPU."""
        with self._computing(self.vae):
            pieces = [self.vae.decode(some).float().cpu() for some in latents.split(DECODED_AT_ONCE, dim=2)]
        return torch.cat(pieces, dim=2).clamp(0, 1)

    @contextmanager
    def _computing(self, model: Autoencoder | ClipEncoder) -> Iterator[None]:
        """The model on the device, and in main memory again afterwards."""
        model.to(self.device)
        yield
        if self.device.type != "cpu":
            model.to("cpu")
