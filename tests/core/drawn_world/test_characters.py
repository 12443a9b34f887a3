"""The drawn world: clips from seeds, with poses that match the drawing."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import numpy as np
import pytest

from tests.support import ROOT
from unianimate_core.drawn_world.characters import WorldSettings, draw_clip
from unianimate_core.drawn_world.people.appearance import random_appearance
from unianimate_core.drawn_world.people.motion import random_motion
from unianimate_core.drawn_world.world import MOTIONS, SPLITS, random_stream, split_of
from unianimate_core.pose import align_poses
from unianimate_core.pose import keypoints as points

HASH_OF_A_CLIP = """
import hashlib
from unianimate_core.drawn_world.characters import draw_clip
clip = draw_clip(3, 2, 96, 64, split="test")
print(hashlib.sha256(clip.frames.tobytes() + clip.poses[1].flat()[0].tobytes()).hexdigest())
"""


def test_the_same_seed_gives_the_same_clip_in_another_process():
    """Several machines train on one world, and a resumed run sees the same clips as a run that never stopped."""
    run = [sys.executable, "-c", HASH_OF_A_CLIP]
    other = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    clip = draw_clip(3, 2, 96, 64, split="test")
    assert hashlib.sha256(clip.frames.tobytes() + clip.poses[1].flat()[0].tobytes()).hexdigest() == other


def test_a_longer_clip_begins_with_the_shorter_one():
    """The evaluation of long videos draws more frames of the same motion."""
    short, long = draw_clip(5, 2, 96, 64), draw_clip(5, 4, 96, 64)
    assert np.array_equal(short.frames, long.frames[:2])
    assert np.array_equal(short.reference, long.reference)
    assert short.poses == long.poses[:2]


@pytest.mark.parametrize("make", [random_appearance, random_motion])
def test_no_two_splits_share_a_character_or_a_motion(make):
    """Otherwise a result on held-out clips would mean nothing. Each single attribute occurs in all splits."""
    world = WorldSettings()
    cells = {split: {make(random_stream(split, seed), split, world).cell for seed in range(300)} for split in SPLITS}
    assert all(split_of(cell) == split for split in SPLITS for cell in cells[split])
    assert not cells["train"] & cells["test"]
    assert not cells["train"] & cells["validation"]
    assert not cells["test"] & cells["validation"]
    for attribute in range(len(next(iter(cells["train"])))):
        assert len({frozenset(cell[attribute] for cell in cells[split]) for split in SPLITS}) == 1


@pytest.mark.parametrize("family", MOTIONS)
def test_limbs_move_clearly_within_a_clip(family):
    """If nothing moved, copying the reference image would be a good result."""
    world = WorldSettings(motions=(family,), seated_share=0)
    moved = []
    for seed in range(6):
        clip = draw_clip(seed, 16, 96, 64, world=world)
        body = np.stack([pose.body[:14] for pose in clip.poses]) * (64, 96)  # the ears may be unseen
        size = np.ptp(body[0, :, 1])
        moved.append(np.ptp(body, axis=0).max() / size)
    assert np.median(moved) > 0.15


@pytest.mark.parametrize("height, width", [(192, 128), (128, 64), (128, 128), (96, 200)])
def test_poses_lie_on_the_limbs_of_the_drawing(height, width):
    """The pose is all that a network sees of the motion. The middle of a bare forearm has the color of skin."""
    world = WorldSettings(motions=("jump", "lean"), seated_share=0, small_share=0)
    hits = []
    for seed in range(40):
        who = random_appearance(random_stream("train", seed), "train", world)
        if who.top not in ("short sleeves", "sleeveless"):
            continue
        clip = draw_clip(seed, 4, height, width, world=world)
        for pose, frame in zip(clip.poses, clip.frames, strict=True):
            for elbow, wrist in ((points.LEFT_ELBOW, points.LEFT_WRIST), (points.RIGHT_ELBOW, points.RIGHT_WRIST)):
                x, y = pose.body[[elbow, wrist]].mean(0) * (width, height)
                color = frame[int(y), int(x)].astype(float)
                hits.append(np.abs(color - who.skin).max() < 60)
    assert len(hits) > 50
    assert np.mean(hits) > 0.85  # the rest is behind the head, or at the limb's shaded edge


def test_hands_begin_at_the_wrists_and_everything_is_on_the_canvas():
    """Alignment moves hands together with wrists; points off the canvas teach nothing."""
    for seed in range(30):
        clip = draw_clip(seed, 8, 96, 64)
        body = np.stack([pose.body for pose in clip.poses])
        hands = np.stack([pose.hands for pose in clip.poses])
        assert np.array_equal(hands[:, points.LEFT_HAND, 0], body[:, points.LEFT_WRIST])
        assert np.array_equal(hands[:, points.RIGHT_HAND, 0], body[:, points.RIGHT_WRIST])
        seen = np.stack([pose.body_seen for pose in clip.poses])
        inside = ((body > -0.02) & (body < 1.02)).all(-1) | ~seen
        assert inside.mean() > 0.98


def test_drawn_poses_pass_through_alignment():
    """The demo and the nodes align every clip."""
    for seed in range(20):
        clip = draw_clip(seed, 6, 96, 64, split="validation")
        aligned = align_poses(clip.reference_pose, clip.poses, reference_size=(64, 96), driving_size=(64, 96))
        assert len(aligned) == 6
        assert all(np.isfinite(pose.body).all() for pose in aligned)


def test_a_background_stands_still():
    """Reference and frames share one background; only the person and the shadow differ."""
    clip = draw_clip(2, 4, 96, 64)
    corner = np.s_[:8, :4]
    assert all(np.array_equal(frame[corner], clip.reference[corner]) for frame in clip.frames)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"backgrounds": ()}, "backgrounds is \\(\\): choose at least one of plain, gradient, textured"),
        ({"motions": ("swim",)}, "motions is .*swim"),
        ({"small_share": 1.5}, "small_share is 1.5: give a share from 0 to 1"),
        ({"largest_heading": 90}, "largest_heading is 90"),
        ({"motions": ("walk",)}, "none of which can be done seated"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        WorldSettings(**settings)


def test_drawing_can_be_stopped_before_any_frame():
    """A long clip on a large canvas takes minutes, and a user may cancel it."""
    started = []

    def stop_at_third():
        started.append(1)
        if len(started) == 3:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        draw_clip(0, 8, 96, 64, before_frame=stop_at_third)
    assert len(started) == 3


@pytest.mark.parametrize(("seed", "split", "message"), [(-1, "train", "seed is -1"), (0, "exam", "split is 'exam'")])
def test_unknown_splits_and_seeds_are_refused(seed, split, message):
    with pytest.raises(ValueError, match=message):
        draw_clip(seed, 1, 96, 64, split=split)


def test_settings_limit_what_occurs():
    """A small network learns better from fewer kinds."""
    world = WorldSettings(patterns=("plain",), motions=("walk",), seated_share=0, child_share=0)
    for seed in range(20):
        random = random_stream("train", seed)
        who, motion = random_appearance(random, "train", world), random_motion(random, "train", world)
        assert (who.pattern, motion.family, motion.seated) == ("plain", "walk", False)
        assert who.height > 0.9
