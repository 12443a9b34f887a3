"""TrainingJob: all options of `python -m unianimate_core train` as one value, checked once."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any, Literal

from .presets import Preset, preset
from .settings import RunSettings, TrainingError, TrainingSettings

DRAWN = "drawn"  # in place of a folder of videos
TEMPORAL = ("transformer", "mamba")

FilePath = str | os.PathLike


@dataclass(frozen=True)
class TrainingJob:
    """One training: a network, its data, and how to train it. The same job again continues where it stopped.

        from unianimate_core import mini
        from unianimate_core.training import TrainingJob, train

        job = TrainingJob("build/run", vae=mini.VAE, preset="mini", run={"steps": 500})
        checkpoint = train(job)  # build/run/unianimate.safetensors

    folder: of the run; gets its states, curves, validation videos and result.
    vae: a VAE file; "linear" is a stand-in without weights, to try things.
    preset: the name of the settings that `settings` and `run` override.
    data, validation_data: folders of videos with keypoints beside them; data may be "drawn" for drawn people.
    clip: open_clip_pytorch_model.bin, for image embeddings and the empty prompt.
    init: a checkpoint to start from instead of a new network.
    distill: a teacher's checkpoint; trains each temporal module of init on the teacher's.
    lora: the rank of a LoRA to train instead of the weights.
    temporal: the kind of temporal modules in a new network, "transformer" or "mamba".
    characters: the number of drawn people; the preset's if None.
    cache: folder for prepared data; within the run's folder if None.
    settings, run: values of TrainingSettings and RunSettings that replace the preset's.
    Raises TrainingError if a value is wrong or has no effect beside the others.
    """

    folder: FilePath
    vae: FilePath
    preset: str = "paper"
    data: FilePath = DRAWN
    validation_data: FilePath | None = None
    clip: FilePath | None = None
    init: FilePath | None = None
    distill: FilePath | None = None
    lora: int | None = None
    temporal: Literal["transformer", "mamba"] = "transformer"
    characters: int | None = None
    cache: FilePath | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    run: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_names("settings", self.settings, TrainingSettings)
        _check_names("run", self.run, RunSettings)
        for sentence, applies in self._refusals().items():
            if applies:
                raise TrainingError(sentence)
        _ = self.training_settings, self.run_settings  # raise here if a value is wrong

    def _refusals(self) -> dict[str, bool]:
        """Each reason to refuse the job, and whether it applies; the first that does is shown."""
        part, lora = self.settings.get("part"), self.lora
        distills, initial = self.distill is not None, self.init is not None
        return {
            f"temporal is {self.temporal!r}: choose transformer or mamba": self.temporal not in TEMPORAL,
            f"settings holds lora_rank {self.settings.get('lora_rank')}: give the rank as lora": (
                "lora_rank" in self.settings
            ),
            f"lora is {lora}: give a rank of 1 or more, or leave it out to train the weights themselves": (
                lora is not None and lora < 1
            ),
            "lora adapts a network whose weights stay, distill trains weights: leave one of them out": (
                lora is not None and distills
            ),
            "lora adapts spatial and temporal transformers: leave out part temporal": (
                lora is not None and part == "temporal"
            ),
            "distill trains the temporal modules alone: leave out part all": distills and part == "all",
            "temporal mamba is for a new network: make a checkpoint of that kind with to-mamba, and give it as init": (
                self.temporal == "mamba" and initial
            ),
            "validation_data is for videos: leave it out with drawn people, which are validated on other people": (
                self.draws_people and self.validation_data is not None
            ),
            f"characters {self.characters} is for drawn people: leave it out with a folder as data": (
                not self.draws_people and self.characters is not None
            ),
            f"preset {self.preset} trains an existing network: give its checkpoint as init": (
                self.base.network is None and not initial
            ),
            "a LoRA needs an existing network: give its checkpoint as init": lora is not None and not initial,
            "distill needs a student, made by to-mamba: give its checkpoint as init": distills and not initial,
            f"preset {self.preset} has no drawn people: give a number of characters, or a folder of videos as data": (
                self.draws_people and self.characters is None and not self.base.characters
            ),
        }

    @property
    def draws_people(self) -> bool:
        return str(self.data) == DRAWN

    @property
    def base(self) -> Preset:
        """The preset itself. Raises TrainingError if there is none of this name."""
        return preset(self.preset)

    @cached_property
    def training_settings(self) -> TrainingSettings:
        """The settings that decide the outcome. Precision "auto" still stands for what the device has."""
        values = self.base.settings | dict(self.settings)
        values |= {"part": "temporal"} if self.distill is not None else {}
        values |= {} if self.lora is None else {"lora_rank": self.lora}
        return TrainingSettings(**values)

    @cached_property
    def run_settings(self) -> RunSettings:
        """The settings that decide how the run is carried out."""
        return RunSettings(**(self.base.run | dict(self.run)))


def _check_names(name: str, given: Iterable[str], known: type) -> None:
    names = [each.name for each in fields(known)]
    for each in given:
        if each not in names:
            raise TrainingError(f"{name} has no {each}: choose from {', '.join(names)}")
