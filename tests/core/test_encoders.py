"""The image and text encoders of an OpenCLIP file, on a random network of a few kilobytes."""

from __future__ import annotations

import sys

import pytest
import torch
from safetensors.torch import save_file

from unianimate_core.checkpoint import CheckpointError
from unianimate_core.encoders import ClipEncoder, normalize_for_clip, resize_for_clip

open_clip = pytest.importorskip("open_clip")

CONFIG = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 28, "layers": 2, "width": 32, "head_width": 16, "patch_size": 14},
    "text_cfg": {"context_length": 77, "vocab_size": 50, "width": 32, "heads": 2, "layers": 3},
}


@pytest.fixture(scope="module")
def clip():
    """The network of open_clip, with every weight away from its initial value."""
    generator = torch.Generator().manual_seed(0)
    model = open_clip.CLIP(**CONFIG).eval().requires_grad_(False)
    for weight in model.parameters():
        weight.copy_(weight + 0.2 * torch.randn(weight.shape, generator=generator))
    return model


@pytest.fixture(scope="module")
def clip_file(clip, tmp_path_factory):
    path = tmp_path_factory.mktemp("clip") / "open_clip_pytorch_model.bin"
    torch.save(clip.state_dict(), path)
    return path


@pytest.fixture
def image():
    return torch.rand(2, 3, 50, 40, generator=torch.Generator().manual_seed(1))


def test_image_is_the_projected_embedding_without_normalization(clip, clip_file, image):
    """The released network was trained on embeddings that are not normalized."""
    pixels = normalize_for_clip(resize_for_clip(image, 28))
    expected = clip.encode_image(pixels, normalize=False)[:, None]

    embedding = ClipEncoder(clip_file, config=CONFIG).image(image)

    assert embedding.shape == (2, 1, 24)
    torch.testing.assert_close(embedding, expected, atol=1e-6, rtol=1e-5)


def test_empty_text_is_the_layer_before_the_last_then_the_final_norm(clip, clip_file):
    """Training used this context; another layer, or no norm, would give other states."""
    states = []
    handle = clip.transformer.resblocks[-2].register_forward_hook(lambda module, args, output: states.append(output))
    start_and_end_of_text = torch.tensor([[48, 49] + [0] * 75])
    clip.encode_text(start_and_end_of_text)
    handle.remove()

    text = ClipEncoder(clip_file, config=CONFIG).empty_text()

    assert text.shape == (1, 77, 32)
    torch.testing.assert_close(text, clip.ln_final(states[0]), atol=1e-6, rtol=1e-5)


def test_a_safetensors_file_gives_the_same(clip, clip_file, image, tmp_path):
    save_file(clip.state_dict(), tmp_path / "clip.safetensors")
    from_pickle, from_safetensors = (
        ClipEncoder(path, config=CONFIG) for path in (clip_file, tmp_path / "clip.safetensors")
    )
    assert torch.equal(from_safetensors.image(image), from_pickle.image(image))
    assert torch.equal(from_safetensors.empty_text(), from_pickle.empty_text())


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float16, 0.01), (torch.bfloat16, 0.08)])
def test_half_precision_stays_close(clip_file, image, dtype, tolerance):
    """States are near 1. fp16 has 11 bits and bf16 has 8, of which a few layers lose some."""
    full, half = ClipEncoder(clip_file, config=CONFIG), ClipEncoder(clip_file, config=CONFIG, dtype=dtype)
    for exact, close in ((full.image(image), half.image(image)), (full.empty_text(), half.empty_text())):
        assert close.dtype == torch.float32
        assert (close - exact).abs().mean() < tolerance * exact.abs().mean()


def test_weights_are_read_once_and_again_after_free(clip_file, image, monkeypatch):
    """Four gigabytes take long to read and much memory to keep."""
    from unianimate_core.checkpoint import files

    reads = []
    read = files.read
    monkeypatch.setattr(files, "read", lambda path: reads.append(path) or read(path))
    encoder = ClipEncoder(clip_file, config=CONFIG)
    assert not reads
    with encoder:
        encoder.image(image)
        encoder.empty_text()
        assert len(reads) == 1
    encoder.empty_text()
    assert len(reads) == 2


def test_resizing_stretches_the_whole_image_in_8_bit_steps():
    """The authors stretch without a crop, so the border of the image counts."""
    image = torch.zeros(1, 3, 64, 32)
    image[:, :, :, 16:] = 1
    square = resize_for_clip(image, 8)
    assert square.shape == (1, 3, 8, 8)
    assert torch.equal(square[0, 0, 4], square[0, 0, 0])
    assert square[0, 0, 0, 0] == 0
    assert square[0, 0, 0, 7] == 1
    steps = resize_for_clip(torch.rand(1, 3, 30, 50).half(), 16) * 255
    torch.testing.assert_close(steps, steps.round(), atol=1e-4, rtol=0)


def test_a_missing_file_is_named_with_its_size_and_source(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no file .*missing\.bin: download .*3,944,692,325 bytes.*laion"):
        ClipEncoder(tmp_path / "missing.bin", config=CONFIG)


def test_a_clip_of_another_size_is_refused(clip_file, image):
    """Without a configuration the file must hold ViT-H/14."""
    with pytest.raises(CheckpointError, match=r"is not OpenCLIP ViT-H/14, it looks like an OpenCLIP or CLIP file"):
        ClipEncoder(clip_file).image(image)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"decoder.conv_in.weight": torch.zeros(2)}, r"looks like a VAE \(\S+ is absent\): choose open_clip_pytorch"),
        ({"x": torch.zeros(2)}, r"is not OpenCLIP ViT-H/14 \(\S+ is absent\)"),
    ],
)
def test_the_message_names_the_kind_of_another_file(tensors, message, tmp_path):
    save_file(tensors, tmp_path / "other.safetensors")
    with pytest.raises(CheckpointError, match=message):
        ClipEncoder(tmp_path / "other.safetensors", config=CONFIG).empty_text()


def test_a_deeper_network_is_refused(clip, tmp_path):
    """Its first layers fit, but its results would be wrong."""
    more = {"transformer.resblocks.3.ln_1.weight": torch.ones(32)}
    save_file(clip.state_dict() | more, tmp_path / "deep.safetensors")
    with pytest.raises(CheckpointError, match=r"transformer\.resblocks\.3\.ln_1\.weight is one too many"):
        ClipEncoder(tmp_path / "deep.safetensors", config=CONFIG).empty_text()


def test_an_image_of_another_layout_is_refused(clip_file):
    with pytest.raises(ValueError, match=r"image has shape \(1, 40, 50, 3\): give RGB as"):
        ClipEncoder(clip_file, config=CONFIG).image(torch.zeros(1, 40, 50, 3))


def test_without_open_clip_the_message_says_how_to_install_it(clip_file, monkeypatch):
    monkeypatch.setitem(sys.modules, "open_clip", None)
    with pytest.raises(ImportError, match=r'pip install -e "\.\[clip\]"'):
        ClipEncoder(clip_file)


def test_an_encoder_moves_now_and_when_it_is_read(clip_file, image):
    """The pipeline keeps it in main memory while the network samples."""
    encoder = ClipEncoder(clip_file, config=CONFIG).to("meta")
    assert encoder.device == torch.device("meta")
    assert all(tensor.is_meta for tensor in (*encoder._loaded().parameters(), encoder._loaded().attn_mask))
    here = ClipEncoder(clip_file, config=CONFIG)
    expected = here.image(image)
    assert torch.equal(here.to("cpu").image(image), expected)
    loaded = here.to("meta")._loaded()
    assert all(tensor.is_meta for tensor in (*loaded.parameters(), loaded.attn_mask))


def test_the_identity_is_that_of_the_weights(clip, clip_file, tmp_path):
    """A long video that another encoder guides must not be continued."""
    other = {name: weight + 1 for name, weight in clip.state_dict().items()}
    torch.save(other, tmp_path / "other.bin")
    identities = [ClipEncoder(path, config=CONFIG).identity for path in (clip_file, clip_file, tmp_path / "other.bin")]
    assert identities[0] == identities[1] != identities[2]
