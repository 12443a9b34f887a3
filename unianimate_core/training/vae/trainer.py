"""Training the tiny VAE on the drawn world; to resume is to run the same command again."""

from __future__ import annotations

import csv
import math
import os
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm import tqdm

from ...storage.atomic import replacing
from ...vae.tiny import TinyVAE, load_tiny_vae, save_tiny_vae
from ..optimizers.moments import moments, restore_moments
from ..optimizers.muon import Muon
from ..settings import TrainingError
from ..states import State, States, only_trainer
from .crops import SIZES, crops
from .start import start_from_mean_colors

PRECISIONS = ("bf16", "fp32")
WEIGHTS, OPTIMIZER, CURVE = "weights.safetensors", "optimizer.safetensors", "curve.safetensors"
COLUMNS = "step", "loss", "psnr", "latent_std"
LARGEST_GRADIENT = 1.0
REST_SHARE = 0.2  # of the learning rate, for the first and last layers and all biases
STARTING_BATCHES = 16
KEPT_STATES = 2


@dataclass(frozen=True)
class VaeTraining:
    """steps of clips * frames crops of size x size pixels.

    learning_rate: of the convolutions (Muon) at its highest, after warm_up steps and before it falls to 0 along a
    cosine; the first and last layers and all biases take a fifth of it (AdamW). latent_noise: the largest standard
    deviation of noise on latents, so that a latent that is a little wrong decodes to an image that is a little wrong.
    square_weight: of the squared error beside the absolute one; spread_weight: of the latents' mean and standard
    deviation being 0 and 1. fine_from: share of the steps after which the blocks of full resolution, half of the work,
    learn too. precision: bf16 or fp32. decoder_of: file of a VAE whose latents stay what they are, so that networks
    trained on them stay valid: only its decoder learns on.
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
    precision: str = "bf16"
    decoder_of: str | None = None

    def __post_init__(self) -> None:
        for name in ("steps", "clips", "frames", "warm_up"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}: give at least 1")
        if self.size % 8 or not 8 <= self.size <= min(min(size) for size in SIZES):
            raise ValueError(f"size is {self.size}: give a multiple of 8 up to {min(min(size) for size in SIZES)}")
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision is {self.precision!r}: choose one of {', '.join(PRECISIONS)}")

    def rate(self, step: int) -> float:
        """Share of the learning rate at a step."""
        return min(1.0, (step + 1) / self.warm_up) * (0.5 + 0.5 * math.cos(math.pi * step / self.steps))


def train_vae(output: str | os.PathLike, settings: VaeTraining, *, save_every: int = 50) -> None:
    """Train and write output in half precision, with the curve and the states in `<output's stem>.training/`.

    Raises TrainingError where the run there had other settings or the loss is no number, OSError on a full disk; the
    newest good state stays in either case. Raises RunBusy where another process trains there.
    """
    output = Path(output)
    if output.suffix != ".safetensors":
        raise TrainingError(f"output is {output.name}: give a name that ends in .safetensors")
    folder = output.parent / f"{output.stem}.training"
    states = States(folder / "states", asdict(settings), KEPT_STATES)
    folder.mkdir(parents=True, exist_ok=True)
    with only_trainer(folder, "another output"):
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
    """Everything that changes while training."""

    def __init__(self, settings: VaeTraining, state: State | None):
        self.settings = settings
        self.step = 0
        self.curve: list[list[float]] = []
        self.vae = self._begun(new=state is None)
        self.vae.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        inner, rest = _inner_and_rest(self.vae)
        self.parameters = dict(self.vae.named_parameters())
        self.optimizers: dict[torch.optim.Optimizer, float] = {
            Muon(inner, settings.learning_rate): 1.0,
            torch.optim.AdamW(rest, settings.learning_rate, betas=(0.9, 0.99), weight_decay=0): REST_SHARE,
        }
        if state is not None:
            self._restore(state)

    def _begun(self, *, new: bool) -> TinyVAE:
        """As training starts; of a run that goes on, only the form counts."""
        if self.settings.decoder_of is not None:
            vae = load_tiny_vae(self.settings.decoder_of)
            vae.taesd_decoder.requires_grad_(True)
            return vae
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.settings.seed)
            vae = TinyVAE()
        if new:
            start_from_mean_colors(vae, torch.cat([self._crops(step) for step in range(STARTING_BATCHES)]))
        return vae

    def _restore(self, state: State) -> None:
        self.vae.load_state_dict(state.files[WEIGHTS])
        restore_moments(self.parameters, self.optimizers, state.files[OPTIMIZER])
        self.curve = state.files[CURVE]["curve"].tolist()
        self.step = state.step

    def state(self) -> State:
        remembered = moments(self.parameters, self.optimizers)
        curve = torch.tensor(self.curve, dtype=torch.float64)
        return State(self.step, {WEIGHTS: self.vae.state_dict(), OPTIMIZER: remembered, CURVE: {"curve": curve}}, {})

    def advance(self) -> list[float]:
        """One step; returns its row of the curve. Raises TrainingError where the loss is no number."""
        images = self._crops(self.step)
        noise = torch.Generator().manual_seed(self.settings.seed * 1_000_003 + self.step)
        loss, row = self._loss(images, noise)
        if not torch.isfinite(loss):
            raise TrainingError(
                f"the loss is {float(loss.detach())} at step {self.step}: the last state that was written is kept; "
                "try a lower learning rate or precision fp32"
            )
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.vae.parameters(), LARGEST_GRADIENT)
        for optimizer, share in self.optimizers.items():
            for group in optimizer.param_groups:
                group["lr"] = share * self.settings.learning_rate * self.settings.rate(self.step)
            optimizer.step()
            optimizer.zero_grad()
        self.curve.append([self.step, float(loss.detach()), *row])
        self.step += 1
        return self.curve[-1]

    def _loss(self, images: Tensor, noise: torch.Generator) -> tuple[Tensor, list[float]]:
        settings = self.settings
        half = torch.autocast("cpu", torch.bfloat16) if settings.precision == "bf16" else nullcontext()
        with half:
            latent = self._through(self.vae.taesd_encoder, images).float()
            level = settings.latent_noise * torch.rand(len(latent), 1, 1, 1, generator=noise)
            disturbed = latent + level * torch.randn(latent.shape, generator=noise)
            decoded = self._through(self.vae.taesd_decoder, disturbed).float()
        error = decoded - images
        spread = latent.std((0, 2, 3))
        away = (latent.mean((0, 2, 3)) ** 2 + spread.log() ** 2).mean()
        square = (error**2).mean()
        loss = error.abs().mean() + settings.square_weight * square + settings.spread_weight * away
        return loss, [-10 * math.log10(max(float(square.detach()), 1e-10)), float(spread.detach().mean())]

    def _through(self, layers: nn.Sequential, x: Tensor) -> Tensor:
        """Blocks of full resolution begin as nothing and are passed over before fine_from."""
        coarse = self.step < self.settings.fine_from * self.settings.steps
        passed_over = (self.vae.taesd_encoder[1], self.vae.taesd_decoder[-2]) if coarse else ()
        for layer in layers:
            x = torch.relu(x) if layer in passed_over else layer(x)
        return x

    def _crops(self, step: int) -> Tensor:
        settings = self.settings
        batch = crops(step, settings.clips, settings.frames, settings.size, settings.seed)
        return batch.contiguous(memory_format=torch.channels_last)


def _inner_and_rest(vae: TinyVAE) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Parameters that learn: weights between features, and all others (biases, and layers at images and latents)."""
    encoder, decoder = vae.taesd_encoder, vae.taesd_decoder
    at_ends = [weight for layer in (encoder[0], encoder[-1], decoder[1], decoder[-1]) for weight in layer.parameters()]
    learning = [weight for weight in vae.parameters() if weight.requires_grad]
    inner = [weight for weight in learning if weight.ndim == 4 and all(weight is not other for other in at_ends)]
    return inner, [weight for weight in learning if all(weight is not other for other in inner)]


def write_curve(path: Path, curve: list[list[float]]) -> None:
    """One row a step: COLUMNS."""
    with replacing(path) as part, part.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows([f"{row[0]:.0f}", *(f"{value:.5g}" for value in row[1:])] for row in curve)
