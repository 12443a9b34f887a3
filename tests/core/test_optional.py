"""A package that is missing is reported when it is needed, with the command that installs it."""

from __future__ import annotations

import copy
import json
import sys

import pytest

from unianimate_core.optional import LazyModule, require


@pytest.fixture
def broken(tmp_path, monkeypatch):
    """A package that is installed, but imports one that is not."""
    (tmp_path / "broken_package.py").write_text("import package_that_nobody_has")
    monkeypatch.syspath_prepend(tmp_path)
    yield "broken_package"
    sys.modules.pop("broken_package", None)


def test_a_module_that_is_there_is_imported():
    assert require("json", "the test") is json
    assert require("os.path", "the test").join is not None


def test_a_missing_package_is_named_with_purpose_and_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    sentence = r"^reading images needs opencv, which is not installed: run pip install opencv$"
    with pytest.raises(ImportError, match=sentence):
        require("cv2", "reading images", package="opencv")
    sentence = r'run pip install cv2, or pip install -e "\.\[pose\]" in the folder of this pack$'
    with pytest.raises(ImportError, match=sentence):
        require("cv2", "reading images", extra="pose")


def test_a_submodule_belongs_to_its_package():
    with pytest.raises(ImportError, match=r"needs nobody_has_it, which is not installed: run pip install nobody"):
        require("nobody_has_it.inside", "the test")


def test_a_package_that_does_not_load_says_why(broken):
    """To install it again would not help: something that it needs is missing."""
    sentence = r"needs broken_package, which does not load \(No module named 'package_that_nobody_has'\)"
    with pytest.raises(ImportError, match=sentence):
        require(broken, "the test")


def test_a_lazy_module_is_imported_when_an_attribute_is_used(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    cv2 = LazyModule("cv2", "reading images", package="opencv", extra="pose")
    with pytest.raises(ImportError, match=r'reading images needs opencv.*"\.\[pose\]"'):
        cv2.imread("image.png")
    assert LazyModule("json", "the test").dumps([1]) == "[1]"


def test_tools_may_look_at_a_lazy_module_without_importing_it(monkeypatch):
    """pytest and inspect ask every object of a file for attributes with two underscores."""
    monkeypatch.setitem(sys.modules, "cv2", None)
    cv2 = LazyModule("cv2", "reading images")
    assert not hasattr(cv2, "__wrapped__")
    assert isinstance(copy.copy(cv2), LazyModule)
