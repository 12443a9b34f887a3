"""Nothing finished is lost, and nothing half-finished, damaged or foreign is taken for finished."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file

from unianimate_core.long_video import segment_store
from unianimate_core.long_video.segment_store import RunBusy, clean, open_run, segment_keys

RUN, KEY = "run" + "0" * 61, "key" + "0" * 61
FRAMES = 4


def latents(seed: int = 0) -> dict[str, torch.Tensor]:
    return {"latents": torch.randn((FRAMES, 4, 8, 8), generator=torch.Generator().manual_seed(seed))}


def only_file(root: Path) -> Path:
    (path,) = root.glob("*/*.safetensors")
    return path


@pytest.fixture
def stored(tmp_path):
    """A folder with one finished segment."""
    with open_run(tmp_path, RUN) as store:
        store.save(0, KEY, latents())
    return tmp_path


def load(root: Path, key: str = KEY):
    with open_run(root, RUN) as store:
        return store.load(0, key)


def test_a_segment_comes_back_as_it_was(stored):
    assert load(stored)["latents"].equal(latents()["latents"])


def test_a_segment_of_another_key_or_run_is_not_found(stored):
    assert load(stored, "other" + KEY) is None
    with open_run(stored, "another" + RUN) as store:
        assert store.load(0, KEY) is None


def test_a_changed_input_keeps_the_segments_before_it():
    """Poses that were changed at the end of a minute must not cost its beginning."""
    contents = [(torch.ones(3), index) for index in range(5)]
    keys = segment_keys("run", contents)
    changed = [*contents[:3], (torch.zeros(3), 3), contents[4]]
    again = segment_keys("run", changed)
    assert again[:3] == keys[:3]
    assert not set(again[3:]) & set(keys)
    assert not set(segment_keys("other", contents)) & set(keys)
    assert len(set(segment_keys("run", [contents[0]] * 5))) == 5


def test_a_new_segment_takes_the_place_of_the_old_one_of_its_number(stored):
    """Or every try of another pose would stay on the disk."""
    with open_run(stored, RUN) as store:
        store.save(0, "new" + KEY, latents(1))
    assert load(stored, "new" + KEY)["latents"].equal(latents(1)["latents"])
    assert only_file(stored)


@pytest.mark.parametrize("keep", [0, 5, 200, -1])
def test_a_file_cut_off_in_the_middle_is_ignored_with_a_warning(stored, caplog, keep):
    path = only_file(stored)
    path.write_bytes(path.read_bytes()[:keep])
    with caplog.at_level(logging.WARNING):
        assert load(stored) is None
    assert "is ignored" in caplog.text
    assert "segment 0 is computed again" in caplog.text


def test_a_flipped_bit_is_noticed(stored, caplog):
    path = only_file(stored)
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    assert load(stored) is None
    assert "damaged" in caplog.text


def test_another_versions_segment_is_ignored_with_a_warning(stored, caplog, monkeypatch):
    monkeypatch.setattr(segment_store, "FORMAT", "0")
    assert load(stored) is None
    assert "it has format 3, this version reads 0" in caplog.text


def test_a_file_that_something_else_wrote_is_not_trusted(stored, caplog):
    path = only_file(stored)
    save_file(load_file(path), path)
    assert load(stored) is None
    assert "is ignored" in caplog.text


def test_a_full_disk_is_one_sentence_and_after_making_room_the_run_goes_on(stored):
    """A limit on the size of files fails in the middle of a write, as a full disk does."""
    resource = pytest.importorskip("resource", reason="Windows has no such limits")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with open_run(stored, RUN) as store:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))
        try:
            with pytest.raises(OSError, match="make room and run the same graph again") as raised:
                store.save(1, KEY, latents(1))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert len(str(raised.value).splitlines()) == 1
        assert store.load(1, KEY) is None
        assert store.load(0, KEY) is not None
        assert not list(store.folder.glob(".*"))
        store.save(1, KEY, latents(1))
        assert store.load(1, KEY)["latents"].equal(latents(1)["latents"])


def test_too_little_room_is_told_before_writing(stored, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=10))
    sentence = r"of 0.0 MB could not be written \(the disk is full\): make room and run the same graph again"
    with open_run(stored, RUN) as store, pytest.raises(OSError, match=sentence):
        store.save(1, KEY, latents(1))


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    sentence = r"cannot be written .*: make room and run the same graph again"
    with pytest.raises(OSError, match=sentence) as raised, open_run(tmp_path / "file", RUN):
        pass
    assert len(str(raised.value).splitlines()) == 1


def test_a_run_is_open_once_at_a_time(tmp_path):
    """Two of the same graph would write the same files; the second is told so, and another graph is not held up."""
    with open_run(tmp_path, RUN):
        with (
            pytest.raises(RunBusy, match=f"process {os.getpid()} since .* wait until it is finished"),
            open_run(tmp_path, RUN),
        ):
            pass
        with open_run(tmp_path, "another" + RUN):
            pass
    with open_run(tmp_path, RUN):
        pass


def make_run(root: Path, name: str, age_days: float) -> Path:
    with open_run(root, name) as store:
        store.save(0, KEY, latents())
    then = time.time() - age_days * 86400
    for path in (store.folder / "lock", store.folder):
        os.utime(path, (then, then))
    return store.folder


def test_cleaning_removes_what_is_old_but_not_what_is_open_or_foreign(tmp_path):
    foreign = tmp_path / "my images"
    foreign.mkdir()
    young, old, kept, in_use = (make_run(tmp_path, name, 1) for name in ("young", "old", "kept", "in_use"))
    with open_run(tmp_path, "in_use"):
        for folder in (old, kept, in_use):
            os.utime(folder / "lock", (0, 0))
            os.utime(folder, (0, 0))
        clean(tmp_path, keep=kept)
    assert set(tmp_path.iterdir()) == {foreign, young, kept, in_use}


def test_cleaning_removes_the_longest_unused_until_the_rest_fits(tmp_path):
    folders = [make_run(tmp_path, f"run{age}", age) for age in (3, 1, 2)]
    size = only_file_size(folders[0])
    clean(tmp_path, max_bytes=int(2.5 * size))
    assert set(tmp_path.iterdir()) == {folders[1], folders[2]}


def test_what_cannot_be_cleaned_does_not_stop_a_run(tmp_path, monkeypatch, caplog):
    """Another user's folder, or one that another ComfyUI is removing at the same moment."""
    old = make_run(tmp_path, "old", segment_store.MAX_AGE_DAYS + 1)
    real_lock = segment_store.run_lock

    def no_access(folder: Path, *message: str):
        if folder == old:
            raise PermissionError(13, "Permission denied", str(folder))
        return real_lock(folder, *message)

    monkeypatch.setattr(segment_store, "run_lock", no_access)
    with open_run(tmp_path, RUN) as store:
        store.save(0, KEY, latents())
    assert "could not be cleaned" in caplog.text


def test_opening_a_run_cleans_the_others(tmp_path):
    old = make_run(tmp_path, "old", segment_store.MAX_AGE_DAYS + 1)
    with open_run(tmp_path, RUN):
        assert not old.exists()


def only_file_size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())
