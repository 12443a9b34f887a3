"""Plain, gradient and textured backgrounds, with a floor to stand on."""

from __future__ import annotations

import numpy as np

from ...pose.opencv import cv2

WALLS = (
    *((206, 222, 214), (226, 214, 198), (190, 206, 224), (222, 200, 206), (204, 200, 222), (236, 232, 222)),
    *((150, 176, 170), (172, 160, 150), (128, 146, 168), (92, 104, 116), (214, 220, 180), (180, 196, 200)),
)
FLOORS = (*((150, 128, 104), (120, 108, 100), (176, 160, 136), (104, 112, 104), (140, 132, 128), (186, 170, 150)),)
TEXTURES = ("bricks", "panels", "wallpaper", "hills", "curtain", "window")


def random_background(random: np.random.Generator, kind: str, height: int, width: int, ground: float) -> np.ndarray:
    """A background of a kind of BACKGROUNDS, uint8 h w 3. ground: where people stand, as a share of the height."""
    finest = 0.004 * height + 1
    wall = np.array(WALLS[random.integers(len(WALLS))], float) + random.uniform(-10, 10, 3)
    floor = np.array(FLOORS[random.integers(len(FLOORS))], float) + random.uniform(-10, 10, 3)
    horizon = int(height * (ground - random.uniform(0.04, 0.12)))
    image = np.empty((height, width, 3), np.float32)
    image[:] = wall
    if kind == "gradient":
        image = _gradient(random, image, wall)
    elif kind == "textured":
        texture = TEXTURES[random.integers(len(TEXTURES))]
        image = _TEXTURES[texture](random, image, wall, horizon, finest)
    if kind != "gradient" or random.random() < 0.5:
        _lay_floor(random, image, floor, horizon, kind)
    return np.clip(image, 0, 255).astype(np.uint8)


def _lay_floor(random, image, floor, horizon: int, kind: str) -> None:
    height = len(image)
    depth = np.linspace(0.9, 1.08, max(1, height - horizon))[:, None, None]
    image[horizon:] = floor * (depth if kind != "plain" else 1)
    if kind == "textured":
        width = image.shape[1]
        vanishing = width * random.uniform(0.3, 0.7)
        for x in np.linspace(-width, 2 * width, 13):
            start = (int(vanishing + (x - vanishing) * 0.55), horizon)
            cv2.line(image, start, (int(x), height), tuple(map(float, floor * 0.88)), 2, cv2.LINE_AA)
    thickness = max(2, height // 90)
    image[horizon : horizon + thickness] *= 0.82


def _gradient(random, image, wall):
    height, width = image.shape[:2]
    other = np.array(WALLS[random.integers(len(WALLS))], float)
    y, x = np.linspace(0, 1, 48)[:, None, None], np.linspace(0, 1, 48)[None, :, None]
    if random.random() < 0.4:
        share = np.clip(np.hypot(x - random.uniform(0.3, 0.7), (y - random.uniform(0.2, 0.6)) * 1.3) * 1.3, 0, 1)
        other = wall * 0.6
    else:
        angle = random.uniform(-0.6, 0.6)
        share = np.clip(y * np.cos(angle) + x * np.sin(angle), 0, 1)
    coarse = (wall + (other - wall) * share).astype(np.float32)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)


# The textures below paint on image, float32 h w 3, and return the result. wall: its color; horizon: the row where the
# floor begins; finest: thickness in pixels of the thinnest detail.


def _bricks(random, image, wall, horizon, finest):
    height, width = image.shape[:2]
    tall = max(height / random.uniform(9, 14), 4 * finest)
    wide = tall * random.uniform(1.8, 2.4)
    for row in range(int(height / tall) + 1):
        for column in range(-1, int(width / wide) + 2):
            x, y = (column + 0.5 * (row % 2)) * wide, row * tall
            corner = (round(x + finest), round(y + finest)), (round(x + wide), round(y + tall))
            tone = wall * random.uniform(0.84, 0.94)
            cv2.rectangle(image, *corner, tuple(map(float, tone)), -1)
    return image


def _panels(random, image, wall, horizon, finest):
    width = image.shape[1]
    wide = max(width / random.uniform(4, 8), 4 * finest)
    for column in range(int(width / wide) + 1):
        left = round(column * wide)
        image[:, left : round(left + wide)] *= random.uniform(0.9, 1.02)
        image[:, left : left + max(1, round(finest * 0.8))] *= 0.84
    return image


def _wallpaper(random, image, wall, horizon, finest):
    height, width = image.shape[:2]
    step = max(width / random.uniform(4, 7), 6 * finest)
    color = tuple(map(float, wall * random.choice([0.86, 0.9, 1.08])))
    for row in range(int(height / step) + 2):
        for column in range(int(width / step) + 2):
            center = round((column + 0.5 * (row % 2)) * step), round(row * step)
            cv2.circle(image, center, round(step * 0.22), color, -1, cv2.LINE_AA)
    return image


def _hills(random, image, wall, horizon, finest):
    height, width = image.shape[:2]
    sky = np.array([170, 204, 232]) + random.uniform(-20, 15, 3)
    image[:] = sky * np.linspace(0.92, 1.08, height)[:, None, None]
    x = np.linspace(0, 1, width)
    for level, color in ((0.42, (150, 182, 168)), (0.56, (122, 162, 120)), (0.72, (104, 142, 96))):
        waves = sum(random.uniform(0.015, 0.05) * np.sin(2 * np.pi * (k * x + random.random())) for k in (0.7, 1.6))
        top = (level + waves) * horizon
        outline = np.concatenate([np.stack([x * width, top], -1), [[width, height], [0, height]]])
        cv2.fillPoly(image, [outline.astype(np.int32)], tuple(map(float, np.array(color) + random.uniform(-14, 14, 3))))
    return image


def _curtain(random, image, wall, horizon, finest):
    width = image.shape[1]
    x = np.linspace(0, 1, width)
    folds = random.uniform(3, 7)
    wave = np.sin(2 * np.pi * (folds * x + random.random() + 0.12 * np.sin(5 * x)))
    return image * (0.9 + 0.1 * wave).astype(np.float32)[None, :, None]


def _window(random, image, wall, horizon, finest):
    height, width = image.shape[:2]
    left, top = width * random.uniform(0.05, 0.5), height * random.uniform(0.06, 0.2)
    right, bottom = left + width * random.uniform(0.3, 0.55), top + height * random.uniform(0.25, 0.4)
    frame = max(2, round(2.2 * finest))

    def box(x0, y0, x1, y1, color):
        cv2.rectangle(image, (round(x0), round(y0)), (round(x1), round(y1)), tuple(map(float, color)), -1)

    box(left - frame, top - frame, right + frame, bottom + frame, wall * 0.72)
    box(left, top, right, bottom, np.array([196, 222, 236]) + random.uniform(-20, 10, 3))
    box(left, (top + bottom * 2) / 3, right, bottom, np.array([130, 166, 126]) + random.uniform(-14, 14, 3))
    middle = (left + right) / 2
    box(middle - frame / 2, top, middle + frame / 2, bottom, wall * 0.72)
    return image


_TEXTURES = {
    "bricks": _bricks, "panels": _panels, "wallpaper": _wallpaper, "hills": _hills, "curtain": _curtain,
    "window": _window,
}  # fmt: skip
