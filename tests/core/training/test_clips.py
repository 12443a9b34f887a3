"""Clips: what each step draws from prepared sequences."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch.utils.data._utils.pin_memory import pin_memory

from tests.support.training import SETTINGS, Squares, linear
from unianimate_core.training.data.clips import TrainingClips, batches, draw_frames
from unianimate_core.training.data.prepare import prepare_sequences, prepared_sequences


def test_every_sequence_comes_once_per_round(tmp_path):
    prepare_sequences(Squares(5), tmp_path, linear())
    clips = TrainingClips(prepared_sequences(Squares(5), tmp_path, linear()), SETTINGS)
    rounds = [[clips[5 * number + place].names[0] for place in range(5)] for number in range(3)]
    assert all(len(set(names)) == 5 for names in rounds)
    assert rounds[0] != rounds[1]


def test_the_clips_of_a_step_are_spread_over_the_timesteps(tmp_path):
    """Each step sees both little and much noise, from any start."""
    prepare_sequences(Squares(), tmp_path, linear())
    clips = TrainingClips(prepared_sequences(Squares(), tmp_path, linear()), replace(SETTINGS, batch=8))
    timesteps = sorted(int(clips[position].t) for position in range(8, 16))
    assert all(after - before in (124, 125, 126) for before, after in pairwise(timesteps))
    every = {int(clips[position].t) * 10 // 1000 for position in range(160)}
    assert every == set(range(10))


def test_processes_together_see_the_clips_of_one_process(tmp_path):
    prepare_sequences(Squares(), tmp_path, linear())
    settings = replace(SETTINGS, batch=4)
    clips = TrainingClips(prepared_sequences(Squares(), tmp_path, linear()), settings)
    alone = batches(clips, 3, 4)
    shared = [batches(clips, 3, 1, process=process, processes=2) for process in (0, 1)]
    for _ in range(2):
        whole, parts = next(alone), [next(one) for one in shared for _ in range(2)]
        assert torch.equal(whole.t, torch.cat([part.t for part in parts]))
        assert torch.equal(whole.noise, torch.cat([part.noise for part in parts]))


@pytest.mark.parametrize(("length", "count", "largest"), [(16, 4, 4), (2, 2, 4), (5, 1, 3), (30, 16, 4)])
def test_frames_are_evenly_spaced_and_within_the_motion(length, count, largest):
    random, strides, starts = np.random.default_rng(0), set(), set()
    for _ in range(300):
        frames = draw_frames(random, range(3, 3 + length), count, largest)
        assert len(frames) == count
        assert 3 <= frames[0] <= frames[-1] < 3 + length
        steps = set(np.diff(frames))
        assert len(steps) <= 1
        strides |= steps
        starts.add(frames[0])
    if count > 1:
        assert strides == set(range(1, min(largest, (length - 1) // (count - 1)) + 1))
    assert len(starts) > 1 or length == count


def test_a_still_may_be_the_reference_but_never_a_frame(tmp_path):
    """A clip that started with it would teach a jump after the first frame."""
    prepare_sequences(Squares(), tmp_path, linear())
    sequences = [replace(sequence, stills=2) for sequence in prepared_sequences(Squares(), tmp_path, linear())]
    clips = TrainingClips(sequences, SETTINGS)
    references = set()
    for position in range(40):
        clip = clips[position]
        sequence = next(sequence for sequence in sequences if sequence.name == clip.names[0])
        stills = sequence.latents([0, 1])
        assert not any(still.equal(frame) for still in stills.unbind(1) for frame in clip.latents[0].unbind(1))
        references |= {still for still in (0, 1) if stills[:, still].equal(clip.reference_latent[0, :, 0])}
    assert references == {0, 1}


def test_pose_image_and_latent_of_a_clip_belong_to_the_same_frame(tmp_path):
    """The first frame is frame 0 of the clip."""
    prepare_sequences(Squares(), tmp_path, linear())
    sequences = prepared_sequences(Squares(), tmp_path, linear())
    clips = TrainingClips(sequences, SETTINGS)
    for position in range(6):
        clip = clips[position]
        sequence = next(sequence for sequence in sequences if sequence.name == clip.names[0])
        frames = [sequence.latents([frame])[:, 0] for frame in range(sequence.length)]
        first, second = (
            next(number for number, latent in enumerate(frames) if latent.equal(clip.latents[0, :, place]))
            for place in (0, 1)
        )
        assert first < second
        assert clip.pose[0].equal(sequence.poses([first, second]))
        assert clip.first_frame[0].equal(sequence.images([first]))
        reference = next(n for n, latent in enumerate(frames) if latent.equal(clip.reference_latent[0, :, 0]))
        assert clip.reference_pose[0].equal(sequence.poses([reference]))


def test_every_tensor_of_a_batch_is_pinned_for_a_gpu(tmp_path, monkeypatch):
    """DataLoader silently skips objects without a method for it."""
    prepare_sequences(Squares(), tmp_path, linear())
    clips = TrainingClips(prepared_sequences(Squares(), tmp_path, linear()), SETTINGS)[0]
    pinned = []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: pinned.append(tensor) or tensor)
    pin_memory(clips)
    tensors = [value for value in (*vars(clips).values(), *clips.kept.values()) if isinstance(value, torch.Tensor)]
    assert len(tensors) > 7
    assert {id(tensor) for tensor in pinned} == {id(tensor) for tensor in tensors}
