"""The pipeline: one call from an image and poses to frames, or to a video file that can be resumed."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

import unianimate_core
from tests.support import ROOT
from unianimate_core import SamplingSettings, UniAnimatePipeline, mini
from unianimate_core.drawn_world.characters import draw_clip
from unianimate_core.long_video.seams import Seams
from unianimate_core.long_video.video import LongVideoSettings
from unianimate_core.media.video import read_frames, video_info, video_writer
from unianimate_core.pipeline import segments_folder
from unianimate_core.pose import draw_poses

QUICK = replace(mini.SETTINGS, steps=1)
CHAIN = LongVideoSettings(segment_length=3)


@pytest.fixture(scope="module")
def pipe() -> UniAnimatePipeline:
    return UniAnimatePipeline.mini(device="cpu", precision="fp32")


@pytest.fixture(scope="module")
def person():
    return draw_clip(2, 6, 64, 64, split="test", world=mini.WORLD)


def arguments(person, frames: int = 6):
    return person.reference, person.reference_pose, person.poses[:frames]


def test_a_call_gives_a_frame_for_each_pose(pipe, person):
    frames = pipe(*arguments(person, 2), QUICK, progress=False)
    assert (frames.shape, frames.dtype) == ((2, 64, 64, 3), np.uint8)
    drawn = draw_poses([person.reference_pose, *person.poses[:2]], 64, 64)
    assert np.array_equal(pipe(person.reference, drawn[0], drawn[1:], QUICK, progress=False), frames)
    assert not np.array_equal(pipe(*arguments(person, 2), replace(QUICK, seed=1), progress=False), frames)


def test_the_defaults_are_those_of_the_network(pipe):
    """The mini needs few steps and no guidance; released weights get the authors' settings."""
    assert pipe.settings == mini.SETTINGS
    assert UniAnimatePipeline(pipe.unet, pipe.vae).settings == SamplingSettings()


def test_a_first_frame_and_the_pose_range_reach_the_network(pipe, person):
    from unianimate_core.model.conditions import PoseRange

    plain = pipe(*arguments(person, 2), QUICK, progress=False)
    for changed in ({"first_frame": person.frames[0]}, {"pose_range": PoseRange(strength=0.0)}):
        assert not np.array_equal(pipe(*arguments(person, 2), QUICK, progress=False, **changed), plain)


def test_a_long_video_of_one_segment_is_the_clip(pipe, person, tmp_path):
    """Without a noise prior, long videos and clips start from the same noise."""
    settings = replace(QUICK, steps=2)
    clip = pipe(*arguments(person, 3), settings, progress=False)
    path = pipe.long_video(*arguments(person, 3), settings, output=tmp_path / "a.mkv", progress=False)
    video = np.stack(list(read_frames(path)))
    assert np.abs(video.astype(int) - clip).mean() < 3  # H.264 with half the colors


@pytest.mark.parametrize(
    "long",
    [CHAIN, replace(CHAIN, seams=Seams(2, hold_latents=True)), LongVideoSettings(3, "windows", 1)],
    ids=["chain", "held latents", "windows"],
)
def test_a_long_video_that_was_stopped_continues_to_the_identical_file(pipe, person, tmp_path, monkeypatch, long):
    """Each segment is sampled once, and the folder of segments goes when the video is whole."""
    calls = []
    denoiser = pipe.denoiser

    def counted(conditions, settings):
        if calls.append(settings.seed) or len(calls) == stop_at:
            raise KeyboardInterrupt
        return denoiser(conditions, settings)

    monkeypatch.setattr(pipe, "denoiser", counted)
    stop_at = None
    make = {"settings": QUICK, "long": long, "fps": 8, "progress": False}
    whole = pipe.long_video(*arguments(person), output=tmp_path / "whole.mp4", **make).read_bytes()
    needed = len(calls)
    calls.clear()
    stop_at = 2
    with pytest.raises(KeyboardInterrupt):
        pipe.long_video(*arguments(person), output=tmp_path / "cut.mp4", **make)
    assert not (tmp_path / "cut.mp4").exists()
    assert segments_folder(tmp_path / "cut.mp4").is_dir()
    stop_at = None
    cut = pipe.long_video(*arguments(person), output=tmp_path / "cut.mp4", **make)
    assert cut.read_bytes() == whole
    again = 2 if long.method == "windows" else 1  # the segment under way is sampled again
    assert len(calls) <= needed + again
    assert not list(tmp_path.glob("*.segments"))


def test_an_output_that_exists_is_kept_unless_it_may_be_replaced(pipe, person, tmp_path):
    output = tmp_path / "a.mp4"
    output.write_bytes(b"precious")
    with pytest.raises(FileExistsError, match="exists and is kept: choose another name"):
        pipe.long_video(*arguments(person, 2), QUICK, output=output, progress=False)
    assert output.read_bytes() == b"precious"
    pipe.long_video(*arguments(person, 2), QUICK, output=output, overwrite=True, progress=False)
    assert video_info(output).frames == 2


def test_another_seed_does_not_continue_a_video(pipe, person, tmp_path, monkeypatch):
    """The folder beside the output may hold segments of an earlier try."""
    from unianimate_core.long_video import segment_store

    loaded = []
    load = segment_store.SegmentStore.load
    monkeypatch.setattr(segment_store.SegmentStore, "load", lambda *given: loaded.append(load(*given)) or loaded[-1])
    monkeypatch.setattr("shutil.rmtree", lambda *_, **__: None)  # segments stay
    for seed in (1, 1, 2):
        loaded.clear()
        settings = replace(QUICK, seed=seed)
        pipe.long_video(*arguments(person, 2), settings, output=tmp_path / "a.mp4", overwrite=True, progress=False)
    assert loaded == [None]


def test_sound_is_added_from_its_beginning(pipe, person, tmp_path):
    from tests.support.media import write_video_with_sound

    write_video_with_sound(tmp_path / "music.mp4", seconds=2)
    path = pipe.long_video(
        *arguments(person, 4), QUICK, output=tmp_path / "a.mp4", fps=4, sound=tmp_path / "music.mp4", progress=False
    )
    import av

    with av.open(str(path)) as container:
        seconds = float(container.streams.audio[0].duration * container.streams.audio[0].time_base)
    assert seconds == pytest.approx(1.0, abs=0.1)
    with video_writer(tmp_path / "silent.mp4", 4) as silent:
        silent.write(person.frames[0])
    with pytest.raises(ValueError, match=r"silent\.mp4 has no sound"):
        pipe.long_video(
            *arguments(person, 2), QUICK, output=tmp_path / "b.mp4", sound=tmp_path / "silent.mp4", progress=False
        )
    assert not (tmp_path / "b.mp4").exists()


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"unet": "absent.safetensors", "vae": mini.VAE}, FileNotFoundError, "absent.safetensors"),
        ({"unet": mini.VAE, "vae": mini.VAE}, ValueError, "looks like|is not|no UniAnimate"),
        ({"unet": mini.TRANSFORMER, "vae": mini.TRANSFORMER}, ValueError, "no VAE that is known here"),
        ({"unet": mini.TRANSFORMER, "vae": mini.VAE, "precision": "fp8"}, ValueError, "precision is 'fp8': choose one"),
    ],
)
def test_wrong_files_are_refused_in_one_sentence(given, error, message):
    with pytest.raises(error, match=message):
        UniAnimatePipeline.from_files(**given)


def test_an_unknown_mini_is_refused():
    with pytest.raises(ValueError, match="temporal is 'lstm': choose transformer or mamba"):
        UniAnimatePipeline.mini("lstm")


def test_clip_guides_the_network(pipe, person):
    """Its text states and its embedding of the part of the reference image that the clip shows."""
    seen = []

    class Clip:
        identity = "clip"

        def to(self, device):
            return self

        def empty_text(self):
            return torch.ones(1, 77, pipe.unet.config.context_dim)

        def image(self, image):
            seen.append(tuple(image.shape))
            return torch.ones(1, 1, pipe.unet.config.context_dim)

    guided = UniAnimatePipeline(pipe.unet, pipe.vae, Clip(), settings=QUICK)  # pyright: ignore[reportArgumentType]
    frames = guided(*arguments(person, 2), progress=False)
    assert seen == [(1, 3, 64, 64)]
    assert not np.array_equal(frames, pipe(*arguments(person, 2), QUICK, progress=False))


def test_models_move_to_the_device_and_back(pipe, person):
    """On a GPU, VAE and CLIP wait in main memory while the network samples."""
    moves = []

    class Moved:
        device = torch.device("cpu")

        def to(self, device):
            moves.append(torch.device(device).type)
            return self

        def encode(self, images):
            return pipe.vae.encode(images)

        def decode(self, latents):
            return pipe.vae.decode(latents)

    class OnMeta(UniAnimatePipeline):
        """Computes on the CPU and says otherwise."""

        def denoiser(self, conditions, settings):
            return lambda x, t: torch.zeros_like(x)

    stand_in = OnMeta(pipe.unet, Moved(), device="cpu")  # pyright: ignore[reportArgumentType]
    stand_in(*arguments(person, 1), QUICK, progress=False)
    assert moves == ["cpu", "cpu"]
    stand_in.device = torch.device("meta")
    with stand_in._computing(stand_in.vae):
        assert moves[-1] == "meta"
    assert moves[-1] == "cpu"


def test_the_package_exports_its_entrance_lazily():
    """A host that imports the pack must not wait for torch, nor for anything else."""
    program = "import sys, unianimate_core; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"torch", "numpy", "safetensors"} & set(run.stdout.split())
    assert set(unianimate_core.__all__) <= set(dir(unianimate_core))
    with pytest.raises(AttributeError, match="has no attribute 'Pipeline'"):
        unianimate_core.Pipeline  # noqa: B018
