"""The storybook cast: what occurs in it, what its poses promise, and that choosing it changes nobody else."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from dataclasses import replace

import cv2
import numpy as np
import pytest

from tests.support import ROOT
from unianimate_core.drawn_world.characters import WorldSettings, appearance_of, draw_clip
from unianimate_core.drawn_world.people.bones import bones_of
from unianimate_core.drawn_world.storybook.appearance import random_appearance
from unianimate_core.drawn_world.storybook.head import EYE, FACE
from unianimate_core.drawn_world.storybook.motion import random_motion
from unianimate_core.drawn_world.world import SPLITS, STORYBOOK, STORYBOOK_MOTIONS, Split, random_stream, split_of
from unianimate_core.pose import align_poses
from unianimate_core.pose import keypoints as points

HEIGHT, WIDTH = 192, 128
HASH_OF_A_CLIP = """
import hashlib
from unianimate_core.drawn_world.characters import draw_clip
from unianimate_core.drawn_world.world import STORYBOOK
clip = draw_clip(3, 2, 96, 64, split="test", world=STORYBOOK)
print(hashlib.sha256(clip.frames.tobytes() + clip.poses[1].flat()[0].tobytes()).hexdigest())
"""
TWO_PEOPLE = {
    0: [
        [[94, 104, 111], [89, 99, 102], [86, 98, 106]],
        [[121, 128, 139], [122, 141, 113], [93, 105, 113]],
        [[148, 151, 167], [97, 109, 140], [119, 127, 139]],
        [[166, 168, 191], [131, 135, 166], [132, 137, 161]],
    ],
    4: [
        [[158, 139, 144], [158, 139, 143], [158, 139, 144]],
        [[158, 139, 144], [177, 138, 150], [168, 141, 146]],
        [[158, 139, 144], [152, 124, 122], [155, 131, 129]],
        [[125, 125, 121], [137, 130, 123], [138, 130, 123]],
    ],
}
"""By seed: a frame of "people" before the storybook cast came, as 4x3 mean colors."""


def clips(count: int, frames: int, height: int = HEIGHT, width: int = WIDTH):
    return [draw_clip(seed, frames, height, width, world=STORYBOOK) for seed in range(count)]


def random_actor(seed: int, split: Split = "train", world: WorldSettings = STORYBOOK):
    """Appearance and motion of a character."""
    random = random_stream(split, seed)
    return random_appearance(random, split, world), random_motion(random, split, world)


def color_at(frame: np.ndarray, point: np.ndarray) -> np.ndarray:
    x, y = point * (frame.shape[1], frame.shape[0])
    return frame[int(y), int(x)].astype(float)


def test_two_hundred_characters_show_all_kinds():
    """The promise of the cast: enough garments, hair and motions to tell characters apart."""
    actors = [random_actor(seed) for seed in range(200)]
    who = [appearance for appearance, _ in actors]
    assert len({(one.top, one.bottom) for one in who}) >= 4
    assert len({one.hair_style for one in who}) >= 5
    assert len({one.face for one in who}) >= 3
    assert len({motion.family for _, motion in actors}) >= 6
    assert all(one.top_color != one.bottom_color or one.bottom == "dress" for one in who)


def test_backgrounds_are_plain_or_graded():
    """Fine textures are lost in latents of eight pixels. Both kinds occur, and neither has edges above the ground."""
    tops = [clip.reference[: HEIGHT // 4, :8].astype(float) for clip in clips(30, 1)]
    graded = [np.ptp(top.mean((1, 2))) > 2 or np.ptp(top.mean((0, 2))) > 2 for top in tops]
    assert 0.2 < np.mean(graded) < 0.9
    assert all(np.abs(np.diff(top, axis=0)).max() <= 3 for top in tops)


def test_the_same_seed_gives_the_same_clip_in_another_process():
    run = [sys.executable, "-c", HASH_OF_A_CLIP]
    other = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    clip = draw_clip(3, 2, 96, 64, split="test", world=STORYBOOK)
    assert hashlib.sha256(clip.frames.tobytes() + clip.poses[1].flat()[0].tobytes()).hexdigest() == other


def test_a_longer_clip_begins_with_the_shorter_one():
    short, long = (draw_clip(5, frames, 96, 64, world=STORYBOOK) for frames in (2, 5))
    assert np.array_equal(short.frames, long.frames[:2])
    assert np.array_equal(short.reference, long.reference)
    assert short.poses == long.poses[:2]


def test_no_two_splits_share_a_character_or_a_motion():
    """Otherwise a result on held-out clips would mean nothing."""
    actors = {split: [random_actor(seed, split) for seed in range(150)] for split in SPLITS}
    for part in (0, 1):
        cells = {split: {actor[part].cell for actor in actors[split]} for split in SPLITS}
        assert all(split_of(cell) == split for split in SPLITS for cell in cells[split])
        assert not cells["train"] & cells["test"]
        assert not cells["train"] & cells["validation"]
        assert not cells["test"] & cells["validation"]


def test_every_keypoint_lies_on_the_canvas():
    """Nothing is cut off: the small network has to see whole characters."""
    for clip in clips(30, 16, 96, 64):
        for pose in (clip.reference_pose, *clip.poses):
            everything, scores = pose.flat()
            seen = everything[scores > 0]
            assert (seen > 0).all()
            assert (seen < 1).all()


def test_drawings_stay_inside_the_image():
    """Hair and hands reach beyond the keypoints, and the margins leave room for them."""
    for clip in clips(30, 8):
        images = np.stack([clip.reference, *clip.frames]).astype(float)
        border = np.concatenate([images[:, :100, 0], images[:, :100, -1]], axis=1)
        assert np.ptp(border, axis=0).max() < 8


def test_joints_lie_on_what_is_drawn():
    """The pose is ground truth: eyes are dark, toes have the color of shoes, fingers that of skin."""
    hits = {"eyes": [], "shoes": [], "hands": []}
    for seed, clip in enumerate(clips(24, 6)):
        who = appearance_of(seed, world=STORYBOOK)
        for pose, frame in zip((clip.reference_pose, *clip.poses), (clip.reference, *clip.frames), strict=True):
            for eye in (points.LEFT_EYE, points.RIGHT_EYE):
                hits["eyes"].append(np.abs(color_at(frame, pose.body[eye]) - EYE).max() < 60)
            for toe in (points.LEFT_TOE, points.RIGHT_TOE):
                hits["shoes"].append(np.abs(color_at(frame, pose.body[toe]) - who.shoes).max() < 40)
            for hand in pose.hands:
                hits["hands"].append(np.abs(color_at(frame, hand[10]) - who.skin).max() < 40)
    assert np.mean(hits["eyes"]) > 0.95
    assert np.mean(hits["shoes"]) > 0.95
    assert np.mean(hits["hands"]) > 0.95  # a raised hand may be behind the hair


def test_limbs_and_heads_are_wide_enough_for_latents_of_eight_pixels():
    """Adults among `people` have limbs of eight pixels and faces of four; that is what the cast is for."""
    for clip in clips(20, 1):
        body = clip.reference_pose.body * (WIDTH, HEIGHT)
        assert 35 < np.abs(body[points.LEFT_EAR] - body[points.RIGHT_EAR])[0] < 60
        assert 12 < np.abs(body[points.LEFT_EYE] - body[points.RIGHT_EYE])[0] < 28


@pytest.mark.parametrize("family", STORYBOOK_MOTIONS)
def test_motions_move_smoothly_on_planted_feet(family):
    """Limbs move clearly, nothing jumps between two frames, and a foot on the ground stays where it is."""
    for seed in range(6):
        who, motion = random_actor(seed, world=replace(STORYBOOK, motions=(family,)))
        body = bones_of(motion.postures(np.arange(0, 6, 1 / 24)), who.proportions, FACE).body
        assert np.ptp(body[:, :14], axis=0).max() > 0.12
        assert np.linalg.norm(np.diff(body, axis=0), axis=-1).max() < 0.075
        for ankle in (points.LEFT_ANKLE, points.RIGHT_ANKLE):
            height = -body[:, ankle, 1] - who.proportions.ankle
            assert height.min() > -1e-6
            planted = (height[1:] < 1e-3) & (height[:-1] < 1e-3)
            slides = np.abs(np.diff(body[:, ankle, 0]))[planted]
            assert family == "walk" or slides.max(initial=0) < 0.004
        legs = [np.linalg.norm(body[:, hip] - body[:, knee], axis=-1) for hip, knee in ((8, 9), (11, 12))]
        assert np.allclose(legs, who.proportions.thigh, atol=1e-6)


def test_characters_face_the_viewer():
    for seed in range(60):
        who, motion = random_actor(seed)
        bones = bones_of(motion.postures(np.arange(-4, 32) / 8), who.proportions, FACE)
        for axes in (bones.hips_axes, bones.chest_axes, bones.head_axes):
            ahead = axes[:, :, 2]
            assert np.degrees(np.arctan2(np.abs(ahead[:, 0]), ahead[:, 2])).max() < 21


def test_poses_pass_through_alignment():
    for clip in clips(10, 6, 96, 64):
        aligned = align_poses(clip.reference_pose, clip.poses, reference_size=(64, 96), driving_size=(64, 96))
        assert all(np.isfinite(pose.body).all() for pose in aligned)


@pytest.mark.parametrize("seed", TWO_PEOPLE)
def test_people_are_drawn_as_before(seed):
    """Data that were drawn, and networks that were trained on them, stay valid."""
    frame = draw_clip(seed, 1, HEIGHT, WIDTH, split="test").frames[0]
    coarse = cv2.resize(frame, (3, 4), interpolation=cv2.INTER_AREA).astype(int)
    assert np.abs(coarse - np.array(TWO_PEOPLE[seed])).max() <= 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"cast": "actors"}, "cast is 'actors': choose one of people, storybook"),
        ({"cast": "storybook", "motions": ("box",)}, "motions is .*box.*choose at least one of wave, walk"),
        ({"cast": "storybook", "backgrounds": ("textured",)}, "choose at least one of plain, gradient"),
        ({"cast": "storybook", "seated_share": 0.5}, "the storybook cast has no such characters"),
        ({"cast": "storybook", "child_share": 0.5}, "the storybook cast has no such characters"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        WorldSettings(**settings)


def test_settings_limit_what_occurs():
    world = replace(STORYBOOK, patterns=("plain",), motions=("walk",), largest_heading=0.0)
    for seed in range(20):
        who, motion = random_actor(seed, world=world)
        assert (who.pattern, motion.family, motion.heading) == ("plain", "walk", 0)
