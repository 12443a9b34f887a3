"""A chain that can be resumed: load the segments that are stored, sample the others, save each, then hand it on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor

from .chain import DecodeFrame, SampleSegment, chain_segments, new_frames, segment_seed
from .seams import Handover, Seams
from .segment_store import Store, segment_keys

IMAGES_AT_ONCE = 4
DecodeFrames = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class ChainPlan:
    """The segments of a long video. keys: of each segment in the store; see plan_chain."""

    segments: Sequence[range]
    seams: Seams
    seed: int
    keys: Sequence[str]

    @property
    def total(self) -> int:
        """Frames of the video."""
        return self.segments[-1].stop


@dataclass(frozen=True)
class FinishedSegment:
    """A segment in the store. latents: b 4 n h w, of the frames it shows. restored: it was stored before this run."""

    index: int
    latents: Tensor
    handover: Handover
    restored: bool


def plan_chain(
    segments: Sequence[range], seams: Seams, seed: int, *, run: str, pose_hash: Callable[[range], str]
) -> ChainPlan:
    """The plan of a chain. Raises ValueError if the seed is negative.

    run: a hash of everything that all segments depend on, the seed included; pose_hash: of the poses of some frames.
    """
    segment_seed(seed, 0)
    return ChainPlan(segments, seams, seed, segment_keys(run, segment_fingerprints(segments, seams, pose_hash)))


def segment_fingerprints(
    segments: Sequence[range], seams: Seams, pose_hash: Callable[[range], str]
) -> Iterator[tuple[int, int, str, Seams | None]]:
    """What each segment depends on beyond the run and the segments before it."""
    for frames, shown in zip(segments, new_frames(segments), strict=True):
        yield len(frames), len(shown), pose_hash(frames), seams if frames.start else None


def run_chain(
    plan: ChainPlan,
    store: Store,
    sample: SampleSegment,
    decode: DecodeFrame,
    *,
    first: Handover | None = None,
    before_sampling: Callable[[int], None] = lambda start: None,
) -> Iterator[FinishedSegment]:
    """Yield every segment of a plan in order; each is in the store before it is yielded.

    The segments that the store has at the beginning are loaded, the others sampled; a run that was cut off so gives the
    identical video. sample, decode: see chain_segments. first: an image for the video to begin with.
    before_sampling(start): called once, with the number of the first segment that is not stored.
    """
    handover, start = first, 0
    for segment in _stored(plan, store):
        handover, start = segment.handover, segment.index + 1
        yield segment
    before_sampling(start)
    for segment in chain_segments(
        plan.segments, sample, decode, seed=plan.seed, seams=plan.seams, handover=handover, start=start
    ):
        finished = FinishedSegment(segment.index, segment.latents, segment.handover, restored=False)
        store.save(finished.index, plan.keys[finished.index], _tensors(finished))
        del segment
        yield finished


def segment_images(segment: FinishedSegment, decode: DecodeFrames) -> Iterator[Tensor]:
    """The images of the frames that a segment shows, a few at a time: b 3 n H W in [0, 1].

    decode: b 4 n h w to b 3 n H W. The last frame was decoded when it was handed over.
    """
    others = segment.latents[:, :, :-1]
    if others.shape[2]:
        for latents in others.split(IMAGES_AT_ONCE, dim=2):
            yield decode(latents)
    yield segment.handover.image


def _stored(plan: ChainPlan, store: Store) -> Iterator[FinishedSegment]:
    for index, key in enumerate(plan.keys):
        tensors = store.load(index, key)
        if tensors is None:
            return
        handover = Handover(tensors["handover_image"], tensors["handover_latents"])
        yield FinishedSegment(index, tensors["latents"], handover, restored=True)


def _tensors(segment: FinishedSegment) -> dict[str, Tensor]:
    assert segment.handover.latents is not None
    return {
        "latents": segment.latents,
        "handover_image": segment.handover.image,
        "handover_latents": segment.handover.latents,
    }
