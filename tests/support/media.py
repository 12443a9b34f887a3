"""Made-up video files."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np


def write_video_with_sound(path: Path, *, seconds: int = 2, fps: int = 10, rate: int = 44_100) -> None:
    """Frames that grow brighter, and a tone."""
    with av.open(str(path), "w") as container:
        video, sound = container.add_stream("libx264", rate=fps), container.add_stream("aac", rate=rate)
        video.width = video.height = 64
        for number in range(seconds * fps):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 10 * number % 256, np.uint8), format="rgb24")
            frame.pts = number
            container.mux(video.encode(frame))
        container.mux(video.encode())
        tone = (0.3 * np.sin(np.arange(seconds * rate) * 2 * np.pi * 440 / rate)).astype(np.float32)
        for start in range(0, len(tone), 1024):
            samples = av.AudioFrame.from_ndarray(tone[None, start : start + 1024], format="fltp", layout="mono")
            samples.sample_rate, samples.pts = rate, start
            container.mux(sound.encode(samples))
        container.mux(sound.encode())
