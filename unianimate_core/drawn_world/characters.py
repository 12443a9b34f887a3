"""Draws a clip of one person, with the exact pose of every frame."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from ..pose import Pose
from ..pose import keypoints as points
from ..pose.opencv import cv2
from .cast import Cast, Motion
from .people.appearance import Appearance
from .people.bones import bones_of
from .people.drawing import PEOPLE
from .people.figure import Camera, Figure, figure_from
from .people.ground import put_stool
from .people.motion import FPS
from .people.shapes import paint
from .storybook.drawing import STORYBOOK
from .world import WHOLE_WORLD, Split, WorldSettings, random_stream

__all__ = ["DrawnClip", "WorldSettings", "appearance_of", "draw_clip"]

CASTS: dict[str, Cast] = {"people": PEOPLE, "storybook": STORYBOOK}

MARGIN = 0.025  # share of the canvas kept free around everything that the person reaches
FAR_EAR = -0.5  # an ear is hidden if it points toward the viewer by less than this


def appearance_of(seed: int, *, split: Split = "train", world: WorldSettings = WHOLE_WORLD) -> Appearance:
    """Hair, clothes and colors of the character that `draw_clip` draws for the same arguments."""
    return CASTS[world.cast].random_appearance(random_stream(split, seed), split, world)


@dataclass(frozen=True)
class DrawnClip:
    """A reference image, and the frames that a network should make from it and from `poses`.

    reference: uint8 h w 3, RGB: the same character in front of the same background at another moment.
    frames: uint8 f h w 3, RGB: the ground truth for `poses`.
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
    before_frame: Callable[[], None] | None = None,
) -> DrawnClip:
    """Draws one character doing one motion, at 8 frames a second. The same arguments give the same clip in any process.

    No two splits share a character or a motion (see `world`). A longer clip begins with the frames of a shorter one.
    before_frame: called before each frame is painted; an exception in it stops the drawing.
    Raises ValueError if a number is too small.
    """
    if frames < 1 or height < 16 or width < 16:
        raise ValueError(f"a clip of {frames} frames of {width}x{height}: give at least 1 frame of 16x16 pixels")
    random, cast = random_stream(split, seed), CASTS[world.cast]
    appearance, motion = cast.random_appearance(random, split, world), cast.random_motion(random, split, world)
    small = random.random() < world.small_share
    stage = _Stage.random(random, _Actor(cast, appearance, motion), small, height, width)
    kind = str(random.choice(list(world.backgrounds)))
    background = cast.random_background(random, kind, stage.height, stage.width, stage.ground)
    moments = np.concatenate([[-random.uniform(1.5, 12)], np.arange(frames) / FPS])

    bones = bones_of(motion.postures(moments), appearance.proportions, cast.face)
    figure = figure_from(stage.camera, bones, appearance)
    if motion.seated:
        put_stool(background, figure)
    images = _images(figure, cast, background, (height, width), before_frame)
    poses = _poses(figure, stage)
    return DrawnClip(images[0], poses[0], poses[1:], np.stack(images[1:]))


@dataclass(frozen=True)
class _Actor:
    cast: Cast
    appearance: Appearance
    motion: Motion


@dataclass(frozen=True)
class _Stage:
    """The canvas, larger than the image, and the camera that places the person on it.

    ground: where the person stands, as a share of the height.
    """

    height: int
    width: int
    camera: Camera
    ground: float

    @classmethod
    def random(cls, random: np.random.Generator, actor: _Actor, small: bool, height: int, width: int) -> _Stage:
        """Draws a random size and place, small enough that the canvas holds everything the motion reaches."""
        pitch = random.uniform(14, 20) if actor.motion.seated else random.uniform(5, 12)
        left, top, right, bottom = _extent(actor, pitch)
        wanted = height * (random.uniform(0.46, 0.6) if small else random.uniform(0.8, 0.95))
        inner = 1 - 2 * MARGIN
        unit = min(wanted, inner * height / (bottom - top), inner * width / (right - left))
        free_x, free_y = inner * width - unit * (right - left), inner * height - unit * (bottom - top)
        x = MARGIN * width + free_x * random.uniform(0.25, 0.75) - unit * left
        y = height * (1 - MARGIN) - free_y * random.uniform(0.15, 0.5) - unit * bottom
        factor = _supersampling(height)
        return cls(height * factor, width * factor, Camera(pitch, unit * factor, (x * factor, y * factor)), y / height)


def _extent(actor: _Actor, pitch: float) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of what the person reaches, in units of an adult's height."""
    who, motion, margins = actor.appearance, actor.motion, actor.cast.margins
    bones = bones_of(motion.postures(motion.extent_seconds), who.proportions, actor.cast.face)
    everything = np.concatenate([bones.body, bones.hands.reshape(len(bones.body), -1, 3)], axis=1)
    flat, _ = Camera(pitch, who.height, (0.0, 0.0)).project(everything)
    head, radius = bones.head[:, 0] * who.height, who.proportions.head * who.height
    lowest, highest, beside = flat.min(1), flat.max(1), margins.beside_head * radius
    lowest[:, 0], highest[:, 0] = np.minimum(lowest[:, 0], head - beside), np.maximum(highest[:, 0], head + beside)
    left, top = np.percentile(lowest, margins.rare, axis=0)
    right, bottom = np.percentile(highest, 100 - margins.rare, axis=0)
    above = margins.above * who.proportions.head * who.height
    return left - margins.sideways, top - above, right + margins.sideways, bottom + margins.below


def _supersampling(height: int) -> int:
    """Canvas pixels per image pixel along each side: more for small images."""
    return 4 if height < 160 else 2 if height < 640 else 1


def _images(
    figure: Figure,
    cast: Cast,
    background: np.ndarray,
    size: tuple[int, int],
    before_frame: Callable[[], None] | None,
) -> list[np.ndarray]:
    layers = cast.layers(figure)

    def canvases() -> Iterator[np.ndarray]:
        for frame in range(len(figure.body)):
            if before_frame is not None:
                before_frame()
            canvas = background.copy()
            cast.cast_shadow(canvas, figure, frame)
            yield canvas

    painted = paint(layers, canvases())
    height, width = size
    if background.shape[:2] == size:
        return list(painted)
    return [cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA) for canvas in painted]


def _poses(figure: Figure, stage: _Stage) -> list[Pose]:
    size = stage.width, stage.height
    body, hands = figure.body / size, figure.hands / size
    toward = figure.axes["head"][1]
    nobody = np.full((68, 2), points.UNSEEN)
    poses = []
    for frame in range(len(body)):
        score = np.ones(20)
        score[points.LEFT_EAR] = float(toward[frame, 0] > FAR_EAR)
        score[points.RIGHT_EAR] = float(-toward[frame, 0] > FAR_EAR)
        poses.append(Pose(body[frame], hands[frame], nobody, body_score=score))
    return poses
