"""The training loop, on accelerate: one process, several GPUs or several machines.

To continue a run, train it again: it starts from the newest state and ends bit for bit as if it had never stopped.
"""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Iterator
from contextlib import closing, nullcontext
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from ...checkpoint.names import precision_of
from ...optional import LazyModule
from ...storage.safetensors_file import write_safetensors
from ..data.clips import Clips, TrainingClips, batches
from ..optimizers.groups import make_optimizers
from ..optimizers.state import optimizer_state, restore_optimizer_state
from ..settings import TrainingError, TrainingSettings, learning_rate_factor
from ..states import State, States
from .curves import Curves, is_validated
from .ema import EMA
from .run import Run
from .stop_request import StopRequest

if TYPE_CHECKING:
    from accelerate import Accelerator

accelerate: Any = LazyModule("accelerate", "training", extra="training")
accelerate_utils: Any = LazyModule("accelerate.utils", "training", extra="training")

WEIGHTS, EMA_WEIGHTS, OPTIMIZER = "weights.safetensors", "ema.safetensors", "optimizer.safetensors"
PATIENCE = timedelta(hours=12)  # processes wait this long for each other: one may be preparing a long video


def training_device() -> torch.device:
    """The kind of device that make_accelerator takes: a GPU if there is one and ACCELERATE_USE_CPU is not set."""
    only_cpu = accelerate_utils.parse_flag_from_env("ACCELERATE_USE_CPU")
    return torch.device("cuda" if torch.cuda.is_available() and not only_cpu else "cpu")


def make_accelerator(settings: TrainingSettings) -> Accelerator:
    """The device and the processes that a training uses, in its precision.

    Raises ImportError if accelerate is not installed.
    """
    device = training_device()
    precision = settings.with_precision_for(device).precision
    accelerate.state.AcceleratorState._reset_state()  # or every training of a process keeps the precision of the first
    # Image tokens get no gradient if the data has no image embeddings.
    unused = accelerate_utils.DistributedDataParallelKwargs(find_unused_parameters=True)
    return accelerate.Accelerator(
        mixed_precision="no" if precision == "fp32" else precision,
        cpu=device.type == "cpu",
        kwargs_handlers=[unused, accelerate_utils.InitProcessGroupKwargs(timeout=PATIENCE)],
    )


def train_run(run: Run, accelerator: Accelerator) -> Path:
    """Train from the newest state, or from the start, to the end. Returns the file of the result.

    Raises TrainingError if the folder holds another run, a loss is not finite, or a signal asked to stop, and OSError
    if a state cannot be written. The newest good state always stays.
    """
    trainer = Trainer(run, accelerator)
    with StopRequest() as stop:
        trainer.train(stop)
    return trainer.write_result()


class Trainer:
    """The loop of one run, restored from its newest state."""

    def __init__(self, run: Run, accelerator: Accelerator):
        self.run, self.settings, self.run_settings, self.accelerator = run, run.settings, run.run_settings, accelerator
        self.main = accelerator.is_main_process
        self.parameters = run.trained.parameters
        self.at_once, self.passes = run.run_settings.split_batch(run.settings.batch, accelerator.num_processes)
        run.unet.backend.gradient_checkpointing = run.run_settings.gradient_checkpointing
        self.optimizers = make_optimizers(self.parameters, run.settings)
        self.loss, *self.prepared_optimizers = accelerator.prepare(run.loss, *self.optimizers)
        self.ema = EMA(self.parameters, run.settings.ema_decay)
        self.states = States(run.folder / "states", run.full_identity(), run.run_settings.kept_states)
        self.step = 0
        self._restore()
        steps = sorted(set(accelerate_utils.gather_object([self.step])))
        if len(steps) > 1:
            raise TrainingError(
                f"the processes found states of different steps ({', '.join(map(str, steps))}): "
                f"put {run.folder} on storage that all machines share"
            )

    def train(self, stop: StopRequest) -> None:
        """Train to the last step. A validation that a kill prevented comes first."""
        folder = self.run.folder / "curves"
        missed = self._validates() and not is_validated(folder, self.step)
        if self.step >= self.run_settings.steps and not missed:
            return
        with Curves(folder, self.step, enabled=self.main) as curves:
            if missed:
                self._validate(curves)
            self._train(curves, stop)

    def _train(self, curves: Curves, stop: StopRequest) -> None:
        steps, save_every = self.run_settings.steps, self.run_settings.save_every
        bar = tqdm(total=steps, initial=self.step, unit=" steps", disable=not self.main, smoothing=0.02)
        with closing(self._batches()) as clips, bar:
            while self.step < steps:
                loss, norm, stops = self._step(clips, curves, stop)
                bar.update()
                bar.set_postfix_str(f"loss {curves.smooth_loss:.4f}", refresh=False)
                curves.add_step(self.step, loss, norm, self._learning_rate(self.step - 1), self.settings.batch)
                if stops or self.step == steps or self.step % save_every == 0:
                    self._save()
                if stops:
                    raise TrainingError(
                        f"stopped after step {self.step} of {steps}, which is saved: repeat the command to continue"
                    )
                if self._validates():
                    self._validate(curves)

    def _batches(self) -> Generator[Clips]:
        return batches(
            TrainingClips(self.run.sequences, self.settings),
            self.step,
            self.at_once,
            process=self.accelerator.process_index,
            processes=self.accelerator.num_processes,
            workers=self.run_settings.workers,
        )

    def _step(self, clips: Iterator[Clips], curves: Curves, stop: StopRequest) -> tuple[float, float, bool]:
        """One step of the optimizers. Returns (the loss, the norm of the gradient, whether to stop)."""
        _seed_dropout(self.settings.seed, self.step, self.accelerator.process_index)
        losses, names = [], []
        for number in range(self.passes):
            batch = next(clips).to(self.accelerator.device)
            last = number == self.passes - 1
            with self.accelerator.no_sync(self.loss) if not last else nullcontext():
                clip_losses = self.loss(batch)
                self.accelerator.backward(clip_losses.mean() / self.passes)
            losses.append(clip_losses.detach())
            names += batch.names
            curves.add_losses(batch.t, clip_losses)
        loss, stops = self._reduce(torch.cat(losses), names, stop)
        norm = self._update(names)
        self.ema.update(self.step)
        self.step += 1
        return loss, norm, stops

    def _reduce(self, losses: Tensor, names: list[str], stop: StopRequest) -> tuple[float, bool]:
        """The mean loss over all processes, and whether any was asked to stop. Raises if a loss is not finite."""
        wrong = ~losses.isfinite()
        facts = torch.stack([losses.nan_to_num().mean(), wrong.any().float(), losses.new_tensor(stop.requested)])
        loss, any_wrong, stops = self.accelerator.reduce(facts, reduction="mean").tolist()  # pyright: ignore[reportAttributeAccessIssue]
        if any_wrong:
            mine = [f"{names[index]} ({losses[index].item()})" for index in wrong.nonzero().flatten().tolist()]
            raise TrainingError(
                f"the loss of {', '.join(accelerate_utils.gather_object(mine)[:5])} is not finite at step {self.step}: "
                f"look at that clip, or lower the learning rate; {self._kept()}"
            )
        return loss, stops > 0

    def _update(self, names: list[str]) -> float:
        """Move the weights and return the norm of the gradient. Raises if it is not finite."""
        limit = self.settings.gradient_clip or math.inf
        norm = float(self.accelerator.clip_grad_norm_(self.parameters.values(), limit) or 0.0)  # pyright: ignore[reportArgumentType]
        if not math.isfinite(norm) and self.accelerator.scaler is None:  # a gradient scaler skips such steps itself
            raise TrainingError(
                f"the gradient of step {self.step} is {norm}, from the clips {', '.join(names[:5])}: lower the "
                f"learning rate; {self._kept()}"
            )
        for optimizer, prepared in zip(self.optimizers, self.prepared_optimizers, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = group["share"] * self._learning_rate(self.step)
            prepared.step()
            prepared.zero_grad()
        return norm

    def _learning_rate(self, step: int) -> float:
        return self.settings.learning_rate * learning_rate_factor(step, self.settings.warm_up, self.run_settings)

    def _kept(self) -> str:
        return f"the states in {self.states.folder} were kept"

    def _validates(self) -> bool:
        """Whether a validation follows this step."""
        due = self.step == self.run_settings.steps or self.step % self.run_settings.validate_every == 0
        return self.run.validate is not None and self.step > 0 and due

    def _validate(self, curves: Curves) -> None:
        assert self.run.validate is not None
        started = time.perf_counter()
        with self.ema.applied():
            results = self.run.validate(self.run.unet, self.step, self.accelerator)
        self.run.unet.train()
        curves.add_validation(self.step, results)
        curves.exclude_time(time.perf_counter() - started)

    def _save(self) -> None:
        if not self.main:
            return
        trained = self.run.trained
        state = State(
            self.step,
            {
                WEIGHTS: trained.stored(self.parameters),
                EMA_WEIGHTS: trained.stored(self.ema.weights),
                OPTIMIZER: optimizer_state(self.parameters, self.optimizers),
            },
            {} if self.accelerator.scaler is None else {"scaler": self.accelerator.scaler.state_dict()},
        )
        self.states.save(state, {WEIGHTS: trained.metadata, EMA_WEIGHTS: trained.metadata})

    @torch.no_grad()
    def _restore(self) -> None:
        state = self.states.newest()
        if state is None:
            return
        trained = self.run.trained
        for name, tensor in trained.restored(state.files[WEIGHTS]).items():
            self.parameters[name].copy_(tensor)
        self.ema.load(trained.restored(state.files[EMA_WEIGHTS]))
        restore_optimizer_state(self.parameters, self.optimizers, state.files[OPTIMIZER])
        if self.accelerator.scaler is not None:
            self.accelerator.scaler.load_state_dict(state.values["scaler"])
        self.step = state.step

    def write_result(self) -> Path:
        """Write the EMA in half precision, as the nodes load it. Returns the file."""
        path = self.run.folder / self.run.trained.file_name
        if self.main:
            stored = self.run.trained.stored(self.ema.weights)
            halves = {name: tensor.to("cpu", precision_of(name, torch.float16)) for name, tensor in stored.items()}
            write_safetensors(path, halves, self.run.trained.metadata)
        return path


def _seed_dropout(*numbers: int) -> None:
    torch.manual_seed(int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1))
