"""python -m unianimate_core to-mamba keeps all that is not temporal, and begins the rest as training does."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

from tests.support.mamba import mamba_config, mamba_weights
from tests.support.recorded import latents, text, tiny_config, tiny_weights
from unianimate_core.__main__ import main
from unianimate_core.checkpoint import CheckpointError, load_unet
from unianimate_core.checkpoint.loading import metadata_of
from unianimate_core.checkpoint.to_mamba import to_mamba
from unianimate_core.config import MambaConfig


@pytest.fixture
def transformer(tmp_path):
    path = tmp_path / "transformer.safetensors"
    save_file(tiny_weights(), path, metadata=metadata_of(tiny_config()))
    return path


@pytest.mark.parametrize(
    ("options", "mamba"),
    [
        ([], MambaConfig(expand=2, keep_ff=False)),
        (["--expand", "1", "--keep-ff"], MambaConfig(expand=1, keep_ff=True)),
        (["--d-state", "8", "--d-conv", "3"], MambaConfig(expand=2, keep_ff=False, d_state=8, d_conv=3)),
    ],
)
def test_the_command_writes_a_checkpoint_of_the_form_asked_for(transformer, tmp_path, capsys, options, mamba):
    destination = tmp_path / "mamba.safetensors"
    assert main(["to-mamba", str(transformer), str(destination), *options]) == 0
    assert f"wrote {destination}" in capsys.readouterr().out
    unet = load_unet(destination)
    assert unet.config.mamba == mamba
    assert unet.config.head_dim == tiny_config().head_dim
    with torch.no_grad():
        v = unet(latents("x", 2, 128, 64), torch.tensor([941]), text=text())
    assert v.isfinite().all()
    assert {path.name for path in tmp_path.iterdir()} == {"transformer.safetensors", "mamba.safetensors"}


@pytest.mark.parametrize("keep_ff", [False, True])
def test_all_that_is_not_temporal_is_kept(keep_ff):
    tensors, _ = to_mamba(tiny_weights(), tiny_config(), MambaConfig(expand=2, keep_ff=keep_ff))
    same = {name for name in tensors.keys() & tiny_weights().keys() if tensors[name].equal(tiny_weights()[name])}
    assert tensors.keys() - same == {name for name in tensors if "mamba_blocks" in name}
    left_out = tiny_weights().keys() - same
    assert {name.split(".transformer_blocks.0.")[1].split(".")[0] for name in left_out} == {
        *("norm1", "norm2", "norm3", "attn1", "attn2", "ff")
    }
    assert "input_blocks.0.1.proj_in.weight" in same
    assert "input_blocks.1.1.transformer_blocks.0.norm3.weight" in same, "the spatial transformer's own"


def test_the_feed_forward_is_kept_where_asked():
    tensors, config = to_mamba(tiny_weights(), tiny_config(), MambaConfig(expand=2, keep_ff=True))
    assert config == mamba_config(2, keep_ff=True)
    ours, theirs = "output_blocks.3.2.mamba_blocks.0.", "output_blocks.3.2.transformer_blocks.0."
    names = {"norm2": "norm3", "ff.net.0.proj": "ff.net.0.proj", "ff.net.2": "ff.net.2"}
    for mine, other in names.items():
        for kind in ("weight", "bias"):
            assert tensors[f"{ours}{mine}.{kind}"].equal(tiny_weights()[f"{theirs}{other}.{kind}"])


def test_the_rest_begins_as_training_does_from_the_seed():
    mamba = MambaConfig(expand=2, keep_ff=False)
    first, again, other = (to_mamba(tiny_weights(), tiny_config(), mamba, seed)[0] for seed in (1, 1, 2))
    new = [name for name in first if "mamba_blocks" in name]
    assert all(torch.equal(first[name], again[name]) for name in new)
    random = [name for name in new if not torch.equal(first[name], other[name])]
    fixed = {name.split("mamba_blocks.0.")[1] for name in new if name not in random}
    assert fixed == {"norm1.weight", "norm1.bias", "alpha", *(f"mixer.{n}" for n in ("A_log", "A_b_log", "D", "D_b"))}
    block = "middle_block.2.mamba_blocks.0."
    torch.testing.assert_close(first[f"{block}mixer.A_b_log"][5].exp(), torch.arange(1.0, 17.0))
    steps = F.softplus(first[f"{block}mixer.dt_proj_b.bias"])
    assert 1e-3 * 0.999 <= steps.min() < steps.max() <= 0.1 * 1.001
    fan_in = first[f"{block}mixer.in_proj.weight"].shape[1]
    assert first[f"{block}mixer.in_proj.weight"].abs().max() <= fan_in**-0.5


def test_precision_is_that_of_the_source_but_for_decay_and_gate():
    half = {name: x.half() for name, x in tiny_weights().items()}
    tensors, _ = to_mamba(half, tiny_config(), MambaConfig(expand=1, keep_ff=False))
    full = {name.rsplit(".", 1)[-1] for name, x in tensors.items() if x.dtype == torch.float32}
    assert full == {"A_log", "A_b_log", "D", "D_b", "alpha"}
    assert {x.dtype for x in tensors.values()} == {torch.float16, torch.float32}


def test_a_mamba_is_refused():
    with pytest.raises(CheckpointError, match="the temporal modules are Mamba already"):
        to_mamba(mamba_weights(), mamba_config(), MambaConfig(expand=1, keep_ff=False))


@pytest.mark.parametrize(
    ("source", "destination", "options", "message"),
    [
        ("absent.safetensors", "a.safetensors", [], "there is no file"),
        ("transformer.safetensors", "a.pth", [], "destination is a.pth: give a name that ends in .safetensors"),
        ("transformer.safetensors", "a.safetensors", ["--expand", "0"], "expand of the temporal Mamba is 0"),
    ],
)
@pytest.mark.usefixtures("transformer")
def test_a_users_mistake_is_one_sentence(tmp_path, capsys, source, destination, options, message):
    assert main(["to-mamba", str(tmp_path / source), str(tmp_path / destination), *options]) == 2
    *_, last = capsys.readouterr().err.splitlines()
    assert last.startswith("error: ")
    assert message in last
    assert not (tmp_path / destination).exists()


def test_the_written_file_holds_what_was_made(transformer, tmp_path):
    destination = tmp_path / "mamba.safetensors"
    main(["to-mamba", str(transformer), str(destination), "--seed", "3"])
    tensors, _ = to_mamba(tiny_weights(), tiny_config(), MambaConfig(expand=2, keep_ff=False), seed=3)
    written = load_file(destination)
    assert written.keys() == tensors.keys()
    assert all(torch.equal(written[name], tensors[name]) for name in tensors)
