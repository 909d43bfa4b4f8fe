from pathlib import Path

import pytest

from data_prep import data_folder
from data_prep.errors import MissingDataError


def test_require_gives_the_path_below_the_variable(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "text").mkdir()
    monkeypatch.setenv("MAEUM_DATA", str(tmp_path))
    assert data_folder.require("text") == tmp_path / "text"


def test_missing_data_names_path_variable_and_source(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MAEUM_DATA", str(tmp_path))
    with pytest.raises(MissingDataError) as caught:
        data_folder.require("text/kote/train.tsv")
    message = str(caught.value)
    assert str(tmp_path / "text/kote/train.tsv") in message
    assert "MAEUM_DATA" in message
    assert "github.com/searle-j/KOTE" in message


def test_default_lies_beside_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MAEUM_DATA", raising=False)
    repository = Path(data_folder.__file__).resolve().parent.parent
    assert data_folder.data_root() == repository.parent / "shared" / "data"
