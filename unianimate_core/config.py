"""The configuration of a network, read off the shapes of its checkpoint."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

LATENT_CHANNELS = 4
POSE_FEATURES = 8
REFERENCE_FEATURES = POSE_FEATURES + LATENT_CHANNELS
NORM_GROUPS = 32


class ConfigError(ValueError):
    """The tensors do not describe a UniAnimate network."""


@dataclass(frozen=True)
class MambaConfig:
    """The temporal Mamba, which replaces the block of each temporal Transformer.

    expand: inner width / width of the block. keep_ff: whether the Transformer's feed-forward follows the mixer.
    d_state: states of a channel. d_conv: frames that the convolution spans.
    """

    expand: int
    keep_ff: bool
    d_state: int = 16
    d_conv: int = 4

    def __post_init__(self):
        for name in ("expand", "d_state", "d_conv"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} of the temporal Mamba is {getattr(self, name)}: it must be at least 1")


@dataclass(frozen=True)
class ModelConfig:
    """The architecture of one UniAnimate network. It has no defaults, because the checkpoint decides.

    dim: channels of the first level. multipliers: channels of each level / dim.
    residual_blocks: residual blocks of a level on the way down; the way up has one more.
    attention_levels: for each level, whether it has transformers. The middle always has them.
    head_dim: channels of one attention head; heads = width / head_dim.
    stem_width: inner width of the temporal transformer that follows the first convolution.
    context_dim: width of the text states. image_tokens: number of tokens made from one image embedding.
    mamba: the form of the temporal Mamba; None if the temporal modules are Transformers, as released.
    Source: UniAnimate, section 3.2, and the released checkpoint.
    """

    dim: int
    multipliers: tuple[int, ...]
    residual_blocks: int
    attention_levels: tuple[bool, ...]
    head_dim: int
    stem_width: int
    context_dim: int
    image_tokens: int
    mamba: MambaConfig | None = None

    def __post_init__(self):
        if len(self.attention_levels) != len(self.multipliers):
            raise ConfigError(
                f"attention_levels has {len(self.attention_levels)} entries for {len(self.multipliers)} levels: "
                "give one for each level"
            )
        for width in self.widths:
            if width < 1 or width % NORM_GROUPS:
                raise ConfigError(
                    f"a level has {width} channels: give a multiple of {NORM_GROUPS}, the groups of its norms"
                )
        if self.head_dim < 1:
            raise ConfigError(f"head_dim is {self.head_dim}: it must be at least 1 (64 in the released network)")
        stem = () if self.mamba else (self.stem_width,)
        for width in (*stem, *self.attention_widths):
            if width % self.head_dim:
                raise ConfigError(
                    f"head_dim {self.head_dim} does not divide the attention width {width}: "
                    "give the head size this checkpoint was trained with"
                )

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of each level."""
        return tuple(self.dim * multiplier for multiplier in self.multipliers)

    @property
    def attention_widths(self) -> tuple[int, ...]:
        """Channels of the levels that have transformers, then of the middle."""
        with_attention = zip(self.widths, self.attention_levels, strict=True)
        return (*(width for width, attends in with_attention if attends), self.widths[-1])

    @property
    def time_dim(self) -> int:
        """Width of the time embedding."""
        return 4 * self.dim

    @property
    def latent_multiple(self) -> int:
        """The height and width of a latent must be multiples of this: each level but the last halves them."""
        return 2 ** (len(self.multipliers) - 1)

    @classmethod
    def from_state_dict(cls, state_dict: Mapping[str, Any], *, head_dim: int = 64) -> ModelConfig:
        """Read the configuration off tensors with checkpoint names. Only shapes count, so meta tensors will do.

        head_dim leaves no trace in the shapes. Raises ConfigError if the tensors are not those of UniAnimate.
        """
        shapes = {name: tuple(tensor.shape) for name, tensor in state_dict.items()}
        for name, axes in _IDENTIFYING_TENSORS.items():
            _check(shapes, name, axes)
        dim = shapes["time_embed.0.weight"][1]
        levels = _levels(shapes)
        multipliers = tuple(width // dim for width, _, _ in levels)
        residual_blocks = {blocks for _, blocks, _ in levels}
        if len(residual_blocks) != 1:
            raise ConfigError(
                f"the levels have {sorted(residual_blocks)} residual blocks: all must have the same number"
            )
        context_dim = shapes["pre_image_condition.0.weight"][1]
        stem_width = shapes["input_blocks.0.1.proj_in.weight"][0]
        return cls(
            dim=dim,
            multipliers=multipliers,
            residual_blocks=residual_blocks.pop(),
            attention_levels=tuple(attends for _, _, attends in levels),
            head_dim=head_dim,
            stem_width=stem_width,
            context_dim=context_dim,
            image_tokens=shapes["pre_image_condition.2.weight"][0] // context_dim,
            mamba=_mamba(shapes),
        )


RELEASED = ModelConfig(
    dim=320,
    multipliers=(1, 2, 4, 4),
    residual_blocks=2,
    attention_levels=(True, True, True, False),
    head_dim=64,
    stem_width=512,
    context_dim=1024,
    image_tokens=4,
)
"""The published checkpoint, unianimate_16f_32f_non_ema_223000.pth: 1.4166 billion parameters.

A fact about that file for measurements and messages, never a default: loading reads every configuration off its file.
"""

_MAMBA_BLOCK = ".mamba_blocks.0."
# Names that together only UniAnimate has, with their number of axes.
_IDENTIFYING_TENSORS = {
    "time_embed.0.weight": 2,
    "pre_image_condition.0.weight": 2,
    "pre_image_condition.2.weight": 2,
    "dwpose_embedding.0.weight": 4,
    "randomref_embedding2.0.weight": 4,
    "input_blocks.0.1.proj_in.weight": 3,
    "input_blocks.1.0.in_layers.2.weight": 4,
}


def _check(shapes: Mapping[str, tuple[int, ...]], name: str, axes: int) -> None:
    """Raises ConfigError unless there is a tensor of this name with this number of axes, none of size 0."""
    if name not in shapes:
        raise ConfigError(f"no tensor is named {name}: this is not a UniAnimate checkpoint")
    if len(shapes[name]) != axes or 0 in shapes[name]:
        raise ConfigError(f"{name} has shape {list(shapes[name])}: in UniAnimate it has {axes} axes, none of size 0")


def _levels(shapes: Mapping[str, tuple[int, ...]]) -> list[tuple[int, int, bool]]:
    """(channels, residual blocks, whether it has attention) of each level on the way down."""
    indices = [int(match[1]) for name in shapes if (match := re.match(r"input_blocks\.(\d+)\.", name))]
    levels: list[tuple[int, int, bool]] = []
    width, blocks, attends = 0, 0, False
    for index in range(1, max(indices) + 1):
        if f"input_blocks.{index}.op.weight" in shapes:
            levels.append((width, blocks, attends))
            blocks = 0
            continue
        convolution = f"input_blocks.{index}.0.in_layers.2.weight"
        _check(shapes, convolution, axes=4)
        width, blocks = shapes[convolution][0], blocks + 1
        attends = f"input_blocks.{index}.1.norm.weight" in shapes
    levels.append((width, blocks, attends))
    return levels


def _mamba(shapes: Mapping[str, tuple[int, ...]]) -> MambaConfig | None:
    """The temporal Mamba that most of the blocks agree on, or None. A damaged block is then found as misshapen."""
    if not any(_MAMBA_BLOCK in name for name in shapes):
        return None
    prefixes = sorted({name.split(_MAMBA_BLOCK)[0] for name in shapes if _MAMBA_BLOCK in name})
    forms = [form for prefix in prefixes if (form := _mamba_block(shapes, prefix)) is not None]
    if not forms:
        raise ConfigError(f"none of the {len(prefixes)} temporal Mamba blocks has A_log and conv1d of fitting shapes")
    return Counter(forms).most_common(1)[0][0]


def _mamba_block(shapes: Mapping[str, tuple[int, ...]], prefix: str) -> MambaConfig | None:
    """The form of one block, or None if its tensors do not fit each other."""
    block = prefix + _MAMBA_BLOCK
    width, A_log = shapes.get(f"{prefix}.proj_in.weight", ()), shapes.get(f"{block}mixer.A_log", ())
    convolution = shapes.get(f"{block}mixer.conv1d.weight", ())
    if len(width) != 3 or len(A_log) != 2 or len(convolution) != 3 or 0 in (*width, *A_log, *convolution):
        return None
    if A_log[0] % width[0] or convolution[0] != A_log[0]:
        return None
    keep_ff = f"{block}ff.net.2.weight" in shapes
    return MambaConfig(expand=A_log[0] // width[0], keep_ff=keep_ff, d_state=A_log[1], d_conv=convolution[2])
