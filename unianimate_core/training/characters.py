"""A world with ground truth: drawn people who move, with the exact pose of every frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..pose import Pose
from ..pose import keypoints as points
from ..pose.opencv import cv2
from .appearance import Appearance, random_appearance
from .backgrounds import random_background
from .figure import Camera, Figure, seen_by
from .head import hair_behind, head
from .limbs import arm, leg
from .motion import FPS, Motion, random_motion
from .posture import Bones, bones_of
from .shapes import Layer, Shape, edge, paint, shade
from .trunk import skirt, trunk
from .world import WHOLE_WORLD, Split, WorldSettings, random_stream

__all__ = ["DrawnClip", "WorldSettings", "draw_clip"]

MARGIN = 0.04  # of the canvas, around everything that the person reaches
REHEARSAL = np.arange(0, 24, 0.21)  # seconds at which a motion's reach is measured
FAR_EAR = -0.25  # an ear that points so far away from the viewer is not seen


@dataclass(frozen=True)
class DrawnClip:
    """reference: uint8 h w 3, RGB: another moment of the same character, before the same background; frames: uint8
    f h w 3, RGB: the truth for poses.
    """

    reference: np.ndarray
    reference_pose: Pose
    poses: list[Pose]
    frames: np.ndarray


def draw_clip(
    seed: int,
    frames: int,
    height: int,
    width: int,
    *,
    split: Split = "train",
    world: WorldSettings = WHOLE_WORLD,
) -> DrawnClip:
    """One character doing one motion, at 8 frames a second. The same arguments give the same clip, in any process.

    Characters and motions of the splits are disjoint (see `world`). A longer clip begins as the shorter one.
    Raises ValueError where a number is too small.
    """
    if frames < 1 or height < 16 or width < 16:
        raise ValueError(f"a clip of {frames} frames of {width}x{height}: give at least 1 frame of 16x16 pixels")
    random = random_stream(split, seed)
    appearance, motion = random_appearance(random, split, world), random_motion(random, split, world)
    small = random.random() < world.small_share
    stage = _Stage.random(random, appearance, motion, small, height, width)
    kind = str(random.choice(list(world.backgrounds)))
    background = random_background(random, kind, stage.height, stage.width, stage.ground, 0.004 * stage.height + 1)
    moments = np.concatenate([[-random.uniform(1.5, 12)], np.arange(frames) / FPS])

    figure = seen_by(stage.camera, bones_of(motion.postures(moments), appearance.proportions), appearance)
    pictures = _pictures(figure, motion, background, stage, (height, width))
    poses = _poses(figure, stage)
    return DrawnClip(pictures[0], poses[0], poses[1:], np.stack(pictures[1:]))


@dataclass(frozen=True)
class _Stage:
    """The canvas painted on, larger than the picture, and where the person is on it. ground: share of the height."""

    height: int
    width: int
    camera: Camera
    ground: float

    @classmethod
    def random(cls, random: np.random.Generator, who: Appearance, motion: Motion, small: bool, height: int, width: int):
        """The person as large as wished, or as the motion's reach lets the canvas hold."""
        factor = _enlargement(height)
        pitch = random.uniform(14, 20) if motion.seated else random.uniform(5, 12)
        bones = bones_of(motion.postures(REHEARSAL), who.proportions)
        flat, _ = Camera(pitch, who.height, (0.0, 0.0)).project(np.concatenate([bones.body, bones.hands.reshape(len(REHEARSAL), 42, 3)], axis=1))
        top = flat[..., 1].min() - 1.25 * who.proportions.head * who.height
        left, right, bottom = flat[..., 0].min() - 0.03, flat[..., 0].max() + 0.03, flat[..., 1].max() + 0.03
        fit_height = (1 - 2 * MARGIN) * height / (bottom - top)
        fit_width = (1 - 2 * MARGIN) * width / (right - left)
        wished = height * (random.uniform(0.46, 0.6) if small else random.uniform(0.8, 0.95))
        unit = min(wished, fit_height, fit_width)
        free_x, free_y = width - unit * (right - left), height - unit * (bottom - top)
        x = MARGIN * width + (free_x - 2 * MARGIN * width) * random.uniform(0.25, 0.75) - unit * left
        y = height - MARGIN * height - (free_y - 2 * MARGIN * height) * random.uniform(0.2, 0.55) - unit * bottom
        camera = Camera(pitch, unit * factor, (x * factor, y * factor))
        return cls(height * factor, width * factor, camera, y / height)


def _enlargement(height: int) -> int:
    """Canvas pixels to a picture's pixel: more where pictures are small."""
    return 4 if height < 160 else 2 if height < 640 else 1


def _pictures(figure: Figure, motion: Motion, background: np.ndarray, stage: _Stage, size: tuple[int, int]):
    layers = _layers(figure)
    if motion.seated:
        _put_stool(background, figure)
    canvases = []
    for frame in range(len(figure.body)):
        canvas = background.copy()
        _cast_shadow(canvas, figure, frame)
        canvases.append(canvas)
    paint(layers, canvases)
    height, width = size
    if canvases[0].shape[:2] == size:
        return canvases
    return [cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA) for canvas in canvases]


def _layers(figure: Figure) -> list[Layer]:
    legs = [leg(figure, side) for side in (0, 1)]
    layers = [*legs, trunk(figure), *(arm(figure, side) for side in (0, 1)), head(figure)]
    if figure.appearance.bottom == "skirt":
        layers.append(skirt(figure, np.maximum(legs[0].depth, legs[1].depth)))
    behind = hair_behind(figure)
    return layers if behind is None else [behind, *layers]


def _put_stool(canvas: np.ndarray, figure: Figure) -> None:
    """Below the hips of the reference's moment; who sits stays there."""
    hips = figure.body[:, [points.LEFT_HIP, points.RIGHT_HIP]].mean((0, 1))
    ground = figure.body[:, [points.LEFT_ANKLE, points.RIGHT_ANKLE], 1].max()
    unit = figure.unit
    seat = hips + np.array([0, 0.05 * unit])
    wood = (124.0, 92.0, 66.0)
    for x in (-0.085, 0.085):
        leg_box = np.array([[seat[0] + x * unit - 0.014 * unit, seat[1]], [seat[0] + x * unit + 0.014 * unit, seat[1]], [seat[0] + 1.2 * x * unit + 0.014 * unit, ground], [seat[0] + 1.2 * x * unit - 0.014 * unit, ground]])
        cv2.fillPoly(canvas, [np.round(leg_box).astype(np.int32)], shade(wood, 0.75), cv2.LINE_AA)
    for grow, colour in ((0.006, edge(wood)), (0, wood)):
        axes = round((0.12 + grow) * unit), round((0.042 + grow) * unit)
        cv2.ellipse(canvas, tuple(np.round(seat).astype(int).tolist()), axes, 0, 0, 360, colour, -1, cv2.LINE_AA)


def _cast_shadow(canvas: np.ndarray, figure: Figure, frame: int) -> None:
    """Darkens the ground below the feet."""
    feet = np.concatenate([figure.body[frame, [points.LEFT_ANKLE, points.RIGHT_ANKLE]], figure.heels[frame]])
    x, y = feet.mean(0)[0], feet[:, 1].max() + 0.01 * figure.unit
    half_width, half_height = 0.08 * figure.unit + (feet[:, 0].max() - feet[:, 0].min()) / 2, 0.035 * figure.unit
    left, right = max(0, round(x - half_width)), min(canvas.shape[1], round(x + half_width))
    top, bottom = max(0, round(y - half_height)), min(canvas.shape[0], round(y + half_height))
    if left >= right or top >= bottom:
        return
    across = ((np.arange(left, right) + 0.5 - x) / half_width) ** 2
    along = ((np.arange(top, bottom) + 0.5 - y) / half_height) ** 2
    darkness = 1 - 0.38 * np.clip(1 - across[None] - along[:, None], 0, 1)
    region = canvas[top:bottom, left:right]
    region[:] = (region * darkness[..., None]).astype(np.uint8)


def _poses(figure: Figure, stage: _Stage) -> list[Pose]:
    size = stage.width, stage.height
    body, hands = figure.body / size, figure.hands / size
    flat, towards = figure.axes["head"]
    nobody = np.full((68, 2), points.UNSEEN)
    poses = []
    for frame in range(len(body)):
        score = np.ones(20)
        score[points.LEFT_EAR] = float(towards[frame, 0] > FAR_EAR * 2)
        score[points.RIGHT_EAR] = float(-towards[frame, 0] > FAR_EAR * 2)
        poses.append(Pose(body[frame], hands[frame], nobody, body_score=score))
    return poses
