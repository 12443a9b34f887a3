"""Training the tiny VAE on the drawn world. To resume, run the same command again."""

from __future__ import annotations

import csv
import math
import os
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm import tqdm

from ...precision import DTYPES
from ...storage.atomic import replacing
from ...vae.tiny import TinyVAE, load_tiny_vae, save_tiny_vae
from ..optimizers.muon import Muon
from ..optimizers.state import optimizer_state, restore_optimizer_state
from ..settings import TrainingError, log_precision, training_precision
from ..states import State, States, training_lock
from .crops import SIZES, crops
from .initial_weights import initialize_from_mean_colors

PRECISIONS = ("auto", *(name for name in DTYPES if name != "fp16"))  # fp16 would need a gradient scaler
WEIGHTS, OPTIMIZER, CURVE = "weights.safetensors", "optimizer.safetensors", "curve.safetensors"
COLUMNS = "step", "loss", "psnr", "latent_std"
LARGEST_GRADIENT = 1.0
REST_SHARE = 0.2  # share of the learning rate for the first and last layers and all biases
STARTING_BATCHES = 16
KEPT_STATES = 2


@dataclass(frozen=True)
class VaeTrainingSettings:
    """Each step trains on clips * frames crops of size x size pixels.

    learning_rate: the highest, of the convolutions (Muon). It rises for warm_up steps and then falls to 0 along a
    cosine. The first and last layers and all biases take a fifth of it (AdamW).
    latent_noise: largest standard deviation of the noise on latents. A slightly wrong latent then decodes to a slightly
    wrong image.
    square_weight: weight of the squared error beside the absolute one. spread_weight: weight of the distance of the
    latents' mean and standard deviation from 0 and 1.
    fine_from: share of the steps after which the blocks of full resolution, half of the work, learn too.
    precision: "auto", bf16 or fp32, see training_precision.
    decoder_of: file of a VAE of which only the decoder learns. Its latents stay, and so do networks trained on them.
    """

    steps: int = 2500
    clips: int = 2
    frames: int = 4
    size: int = 64
    learning_rate: float = 0.005
    warm_up: int = 100
    fine_from: float = 0.7
    latent_noise: float = 0.1
    square_weight: float = 10.0
    spread_weight: float = 0.03
    seed: int = 0
    precision: str = "auto"
    decoder_of: str | None = None

    def __post_init__(self) -> None:
        for name in ("steps", "clips", "frames", "warm_up"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}: give at least 1")
        if self.size % 8 or not 8 <= self.size <= min(min(size) for size in SIZES):
            raise ValueError(f"size is {self.size}: give a multiple of 8 up to {min(min(size) for size in SIZES)}")
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision is {self.precision!r}: choose one of {', '.join(PRECISIONS)}")

    def learning_rate_factor(self, step: int) -> float:
        """The factor on the learning rate at a step, counted from 0."""
        return min(1.0, (step + 1) / self.warm_up) * (0.5 + 0.5 * math.cos(math.pi * step / self.steps))


def train_vae(output: str | os.PathLike, settings: VaeTrainingSettings, *, save_every: int = 50) -> None:
    """Train on the CPU and write output in half precision. Curve and states go to `<output's stem>.training/`.

    Raises TrainingError if the run there had other settings or the loss is not finite, OSError if the disk is full, and
    RunBusy if another process trains there. The newest good state always stays.
    """
    output = Path(output)
    if output.suffix != ".safetensors":
        raise TrainingError(f"output is {output.name}: give a name that ends in .safetensors")
    settings = replace(settings, precision=training_precision(settings.precision, "cpu"))
    log_precision(settings.precision, "cpu")
    folder = output.parent / f"{output.stem}.training"
    states = States(folder / "states", asdict(settings), KEPT_STATES)
    folder.mkdir(parents=True, exist_ok=True)
    with training_lock(folder, "another output"):
        run = _Run(settings, states.newest())
        _train(run, states, folder / "curve.csv", save_every, output.name)
    save_tiny_vae(run.vae.state_dict(), output, {"steps": str(settings.steps)})


def _train(run: _Run, states: States, curve: Path, save_every: int, name: str) -> None:
    settings = run.settings
    with tqdm(desc=name, total=settings.steps, initial=run.step, unit=" steps") as bar:
        while run.step < settings.steps:
            row = run.advance()
            bar.set_postfix(psnr=f"{row[2]:.2f}", refresh=False)
            bar.update()
            if run.step % save_every == 0 or run.step == settings.steps:
                states.save(run.state(), {})
                write_curve(curve, run.curve)


class _Run:
    """Everything that changes during training."""

    def __init__(self, settings: VaeTrainingSettings, state: State | None):
        self.settings = settings
        self.step = 0
        self.curve: list[list[float]] = []
        self.vae = self._initial_vae(new=state is None)
        self.vae.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        inner, rest = _inner_and_rest(self.vae)
        self.parameters = dict(self.vae.named_parameters())
        self.optimizers: dict[torch.optim.Optimizer, float] = {
            Muon(inner, settings.learning_rate): 1.0,
            torch.optim.AdamW(rest, settings.learning_rate, betas=(0.9, 0.99), weight_decay=0): REST_SHARE,
        }
        if state is not None:
            self._restore(state)

    def _initial_vae(self, *, new: bool) -> TinyVAE:
        """The VAE at the start of training. If the run continues, its state replaces the weights."""
        if self.settings.decoder_of is not None:
            vae = load_tiny_vae(self.settings.decoder_of)
            vae.taesd_decoder.requires_grad_(True)
            return vae
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.settings.seed)
            vae = TinyVAE()
        if new:
            initialize_from_mean_colors(vae, torch.cat([self._crops(step) for step in range(STARTING_BATCHES)]))
        return vae

    def _restore(self, state: State) -> None:
        self.vae.load_state_dict(state.files[WEIGHTS])
        restore_optimizer_state(self.parameters, self.optimizers, state.files[OPTIMIZER])
        self.curve = state.files[CURVE]["curve"].tolist()
        self.step = state.step

    def state(self) -> State:
        files = {
            WEIGHTS: self.vae.state_dict(),
            OPTIMIZER: optimizer_state(self.parameters, self.optimizers),
            CURVE: {"curve": torch.tensor(self.curve, dtype=torch.float64)},
        }
        return State(self.step, files, {})

    def advance(self) -> list[float]:
        """Take one step and return its row of the curve. Raises TrainingError if the loss is not finite."""
        images = self._crops(self.step)
        noise = torch.Generator().manual_seed(self.settings.seed * 1_000_003 + self.step)
        loss, row = self._loss(images, noise)
        if not torch.isfinite(loss):
            raise TrainingError(
                f"the loss is {float(loss.detach())} at step {self.step}: the last saved state is kept; "
                "try a lower learning rate or precision fp32"
            )
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.vae.parameters(), LARGEST_GRADIENT)
        for optimizer, share in self.optimizers.items():
            for group in optimizer.param_groups:
                group["lr"] = share * self.settings.learning_rate * self.settings.learning_rate_factor(self.step)
            optimizer.step()
            optimizer.zero_grad()
        self.curve.append([self.step, float(loss.detach()), *row])
        self.step += 1
        return self.curve[-1]

    def _loss(self, images: Tensor, noise: torch.Generator) -> tuple[Tensor, list[float]]:
        settings = self.settings
        with torch.autocast("cpu", torch.bfloat16) if settings.precision == "bf16" else nullcontext():
            latent = self._through(self.vae.taesd_encoder, images).float()
            level = settings.latent_noise * torch.rand(len(latent), 1, 1, 1, generator=noise)
            noisy = latent + level * torch.randn(latent.shape, generator=noise)
            decoded = self._through(self.vae.taesd_decoder, noisy).float()
        error = decoded - images
        spread = latent.std((0, 2, 3))
        spread_error = (latent.mean((0, 2, 3)) ** 2 + spread.log() ** 2).mean()
        square = (error**2).mean()
        loss = error.abs().mean() + settings.square_weight * square + settings.spread_weight * spread_error
        return loss, [-10 * math.log10(max(float(square.detach()), 1e-10)), float(spread.detach().mean())]

    def _through(self, layers: nn.Sequential, x: Tensor) -> Tensor:
        """The layers applied to x. Before fine_from, this skips the blocks of full resolution, which start at zero."""
        coarse = self.step < self.settings.fine_from * self.settings.steps
        skipped = (self.vae.taesd_encoder[1], self.vae.taesd_decoder[-2]) if coarse else ()
        for layer in layers:
            x = torch.relu(x) if layer in skipped else layer(x)
        return x

    def _crops(self, step: int) -> Tensor:
        settings = self.settings
        batch = crops(step, settings.clips, settings.frames, settings.size, settings.seed)
        return batch.contiguous(memory_format=torch.channels_last)


def _inner_and_rest(vae: TinyVAE) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """The parameters that learn: weights between features, and all others (biases, layers at images and latents)."""
    encoder, decoder = vae.taesd_encoder, vae.taesd_decoder
    at_ends = [weight for layer in (encoder[0], encoder[-1], decoder[1], decoder[-1]) for weight in layer.parameters()]
    learning = [weight for weight in vae.parameters() if weight.requires_grad]
    inner = [weight for weight in learning if weight.ndim == 4 and all(weight is not other for other in at_ends)]
    return inner, [weight for weight in learning if all(weight is not other for other in inner)]


def write_curve(path: Path, curve: list[list[float]]) -> None:
    """Write the curve as CSV: one row of COLUMNS for each step."""
    with replacing(path) as part, part.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows([f"{row[0]:.0f}", *(f"{value:.5g}" for value in row[1:])] for row in curve)
