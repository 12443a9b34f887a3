"""Videos of any length: a chain of segments, the paper's way, or overlapping windows over all frames."""

from .chain import chain_segments, split_segments
from .windows import sample_windows

__all__ = ["chain_segments", "sample_windows", "split_segments"]
