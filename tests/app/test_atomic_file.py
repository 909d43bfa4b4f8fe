"""Files that are written whole or not at all."""

import os

import pytest

from app.atomic_file import atomic_file
from data_prep.errors import InputError


def test_the_file_takes_its_place_at_the_end(tmp_path):
    path = tmp_path / "out.txt"
    with atomic_file(path) as temporary:
        temporary.write_text("new", encoding="utf-8")
        assert not path.exists()
    assert path.read_text(encoding="utf-8") == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "out.txt"
    path.write_text("old", encoding="utf-8")

    def interrupted() -> None:
        with atomic_file(path) as temporary:
            temporary.write_text("half", encoding="utf-8")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_it_is_as_public_as_other_files(tmp_path):
    (tmp_path / "other").write_text("", encoding="utf-8")
    with atomic_file(tmp_path / "out"):
        pass
    modes = {oct(os.stat(tmp_path / name).st_mode) for name in ("other", "out")}
    assert len(modes) == 1


def test_impossible_places_are_named(tmp_path):
    with pytest.raises(InputError, match="no folder"), atomic_file(tmp_path / "no" / "out.csv"):
        pass
    with pytest.raises(InputError, match="is a folder"), atomic_file(tmp_path):
        pass
