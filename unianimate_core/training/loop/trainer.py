"""The training loop, on accelerate: one process, several GPUs or several machines.

To continue a run is to call this again with the same job: it goes on from the newest state, bit by bit as if it had
never stopped.
"""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Iterator
from contextlib import closing, nullcontext
from datetime import timedelta
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, InitProcessGroupKwargs, gather_object
from safetensors.torch import save_file
from torch import Tensor
from tqdm import tqdm

from ...checkpoint.names import precision_of
from ...storage.atomic import replacing
from ..data.clips import Clips, TrainingClips, batches
from ..network.weights import keep_only_borders
from ..optimizers.groups import make_optimizers
from ..optimizers.moments import moments, restore_moments
from ..settings import PRECISIONS, TrainingError, TrainingSettings, rate_factor
from ..states import State, States
from .curves import Curves, is_validated
from .ema import WeightMean
from .interruption import Interruption
from .job import Job

WEIGHTS, MEANS, OPTIMIZER = "weights.safetensors", "ema.safetensors", "optimizer.safetensors"
PATIENCE = timedelta(hours=12)  # of processes with each other, one of which may prepare a long video


def make_accelerator(settings: TrainingSettings) -> Accelerator:
    unused = DistributedDataParallelKwargs(find_unused_parameters=True)  # image tokens, where there are no embeddings
    return Accelerator(
        mixed_precision=PRECISIONS[settings.precision],
        cpu=not torch.cuda.is_available(),
        kwargs_handlers=[unused, InitProcessGroupKwargs(timeout=PATIENCE)],
    )


def train(job: Job, accelerator: Accelerator) -> Path:
    """Train to the end, or from where the run stopped; the file of the result.

    Raises TrainingError where the folder holds another run, a loss is no number, or a signal asked to stop, and OSError
    where a state cannot be written; in each case the newest good state stays.
    """
    trainer = Trainer(job, accelerator)
    with Interruption() as interruption:
        trainer.train(interruption)
    return trainer.write_result()


class Trainer:
    def __init__(self, job: Job, accelerator: Accelerator):
        self.job, self.settings, self.run, self.accelerator = job, job.settings, job.run, accelerator
        self.main = accelerator.is_main_process
        self.parameters = job.trained.parameters
        self.at_once, self.passes = job.run.passes(job.settings.batch, accelerator.num_processes)
        if job.run.gradient_checkpointing:
            keep_only_borders(job.unet)
        self.optimizers = make_optimizers(self.parameters, job.settings)
        self.loss, *self.prepared_optimizers = accelerator.prepare(job.loss, *self.optimizers)
        self.mean = WeightMean(self.parameters, job.settings.ema_decay)
        self.states = States(job.folder / "states", job.whole_identity(), job.run.kept_states)
        self.step = 0
        self._restore()
        steps = sorted(set(gather_object([self.step])))
        if len(steps) > 1:
            raise TrainingError(
                f"processes go on from different steps ({', '.join(map(str, steps))}): "
                f"put {job.folder} on storage that all machines share"
            )

    def train(self, interruption: Interruption) -> None:
        """To the last step. A validation that a kill came before is made first."""
        folder = self.job.folder / "curves"
        missed = self._validates() and not is_validated(folder, self.step)
        if self.step >= self.run.steps and not missed:
            return
        with Curves(folder, self.step, enabled=self.main) as curves:
            if missed:
                self._validate(curves)
            self._train(curves, interruption)

    def _train(self, curves: Curves, interruption: Interruption) -> None:
        bar = tqdm(total=self.run.steps, initial=self.step, unit=" steps", disable=not self.main, smoothing=0.02)
        with closing(self._batches()) as clips, bar:
            while self.step < self.run.steps:
                loss, norm, stop = self._step(clips, curves, interruption)
                bar.update()
                bar.set_postfix_str(f"loss {curves.smooth_loss:.4f}", refresh=False)
                curves.add_step(self.step, loss, norm, self._rate(self.step - 1), self.settings.batch)
                if stop or self.step == self.run.steps or self.step % self.run.save_every == 0:
                    self._save()
                if stop:
                    raise TrainingError(
                        f"stopped after step {self.step} of {self.run.steps}, which is kept: "
                        "repeat the command to go on"
                    )
                if self._validates():
                    self._validate(curves)

    def _batches(self) -> Generator[Clips]:
        return batches(
            TrainingClips(self.job.sequences, self.settings),
            self.step,
            self.at_once,
            process=self.accelerator.process_index,
            processes=self.accelerator.num_processes,
            workers=self.run.workers,
        )

    def _step(self, clips: Iterator[Clips], curves: Curves, interruption: Interruption) -> tuple[float, float, bool]:
        """One step of the optimizer: (the loss, the gradient's norm, whether to stop)."""
        _seed_dropout(self.settings.seed, self.step, self.accelerator.process_index)
        losses, names = [], []
        for number in range(self.passes):
            batch = next(clips).to(self.accelerator.device)
            last = number == self.passes - 1
            with self.accelerator.no_sync(self.loss) if not last else nullcontext():
                loss_of_each = self.loss(batch)
                self.accelerator.backward(loss_of_each.mean() / self.passes)
            losses.append(loss_of_each.detach())
            names += batch.names
            curves.add_losses(batch.t, loss_of_each)
        loss, stop = self._agree(torch.cat(losses), names, interruption)
        norm = self._update(names)
        self.mean.update(self.step)
        self.step += 1
        return loss, norm, stop

    def _agree(self, losses: Tensor, names: list[str], interruption: Interruption) -> tuple[float, bool]:
        """The mean loss of all processes, and whether any was asked to stop. Raises where a loss is no number."""
        wrong = ~losses.isfinite()
        facts = torch.stack([losses.nan_to_num().mean(), wrong.any().float(), losses.new_tensor(interruption.asked)])
        loss, any_wrong, asked = self.accelerator.reduce(facts, reduction="mean").tolist()  # pyright: ignore[reportAttributeAccessIssue]
        if any_wrong:
            of_mine = [f"{names[index]} ({losses[index].item()})" for index in wrong.nonzero().flatten().tolist()]
            raise TrainingError(
                f"the loss of {', '.join(gather_object(of_mine)[:5])} is no number at step {self.step}: look at that "
                f"clip, or lower the rate; {self._newest()}"
            )
        return loss, asked > 0

    def _update(self, names: list[str]) -> float:
        limit = self.settings.gradient_clip or math.inf
        norm = float(self.accelerator.clip_grad_norm_(self.parameters.values(), limit) or 0.0)  # pyright: ignore[reportArgumentType]
        if not math.isfinite(norm) and self.accelerator.scaler is None:  # a scaler skips such steps by itself
            raise TrainingError(
                f"the gradient of step {self.step} is {norm}, of the clips {', '.join(names[:5])}: lower the rate; "
                f"{self._newest()}"
            )
        for optimizer, prepared in zip(self.optimizers, self.prepared_optimizers, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = group["share"] * self._rate(self.step)
            prepared.step()
            prepared.zero_grad()
        return norm

    def _rate(self, step: int) -> float:
        return self.settings.rate * rate_factor(step, self.settings.warm_up, self.run)

    def _newest(self) -> str:
        return f"the states in {self.states.folder} were kept"

    def _validates(self) -> bool:
        """Whether this step is one to validate after."""
        ended = self.step == self.run.steps
        return self.job.validate is not None and self.step > 0 and (ended or self.step % self.run.validate_every == 0)

    def _validate(self, curves: Curves) -> None:
        assert self.job.validate is not None
        started = time.perf_counter()
        with self.mean.applied():
            results = self.job.validate(self.job.unet, self.step, self.accelerator)
        self.job.unet.train()
        curves.add_validation(self.step, results)
        curves.pause(time.perf_counter() - started)

    def _save(self) -> None:
        if not self.main:
            return
        trained = self.job.trained
        state = State(
            self.step,
            {
                WEIGHTS: trained.stored(self.parameters),
                MEANS: trained.stored(self.mean.means),
                OPTIMIZER: moments(self.parameters, self.optimizers),
            },
            {} if self.accelerator.scaler is None else {"scaler": self.accelerator.scaler.state_dict()},
        )
        self.states.save(state, {WEIGHTS: trained.metadata, MEANS: trained.metadata})

    @torch.no_grad()
    def _restore(self) -> None:
        state = self.states.newest()
        if state is None:
            return
        trained = self.job.trained
        for name, tensor in trained.restored(state.files[WEIGHTS]).items():
            self.parameters[name].copy_(tensor)
        self.mean.load(trained.restored(state.files[MEANS]))
        restore_moments(self.parameters, self.optimizers, state.files[OPTIMIZER])
        if self.accelerator.scaler is not None:
            self.accelerator.scaler.load_state_dict(state.values["scaler"])
        self.step = state.step

    def write_result(self) -> Path:
        """The mean weights in half precision, as the nodes load them."""
        path = self.job.folder / self.job.trained.file_name
        if self.main:
            stored = self.job.trained.stored(self.mean.means)
            halves = {
                name: tensor.to("cpu", precision_of(name, torch.float16)).contiguous()
                for name, tensor in stored.items()
            }
            with replacing(path, expected_bytes=sum(tensor.nbytes for tensor in halves.values())) as part:
                save_file(halves, part, metadata={"format": "pt", **self.job.trained.metadata})
        return path


def _seed_dropout(*numbers: int) -> None:
    torch.manual_seed(int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1))
