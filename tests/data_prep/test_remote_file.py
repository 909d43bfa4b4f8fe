"""Files of other file systems have what reading songs asks of a path."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest

from data_prep.errors import InputError
from data_prep.readers.song_table import read_song_table
from data_prep.remote_file import RemoteFile, at_hand, is_url, place_of_file
from tests.s3_server import Store, s3_store


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a secret")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    folder = tmp_path / "store"
    (folder / "music" / "우울").mkdir(parents=True)
    (folder / "music" / "우울" / "비 오는 날.mp3").write_bytes(b"sound" * 1000)
    (folder / "music" / "우울" / "비 오는 날.txt").write_text("가사", encoding="utf-8")
    (folder / "music" / "one.mp3").write_bytes(b"other")
    with s3_store(folder) as running:
        yield running


def remote(store: Store, key: str) -> RemoteFile:
    found = place_of_file(store.url(key))
    assert isinstance(found, RemoteFile)
    return found


def test_what_is_no_url_is_a_path(tmp_path):
    assert place_of_file("music/one.mp3") == Path("music/one.mp3")
    assert place_of_file(tmp_path) == tmp_path
    assert place_of_file((tmp_path / "비 오는 날.mp3").as_uri()) == tmp_path / "비 오는 날.mp3"
    assert place_of_file(f"file://{tmp_path}/비 오는 날.mp3") == tmp_path / "비 오는 날.mp3"
    assert not is_url("C:\\music")
    assert is_url("S3://bucket/song.mp3")


def test_it_is_told_without_what_is_secret(store):
    file = remote(store, "music/one.mp3")
    assert str(file) == "s3://music/one.mp3"
    assert "endpoint" not in repr(file)
    with_key = place_of_file(f"s3://me:hidden@music/one.mp3?{store.query}")
    assert str(with_key) == "s3://music/one.mp3"
    assert "hidden" not in repr(with_key)


@pytest.mark.parametrize("name", ["비 오는 날.mp3", "%EB%B9%84%20오는%20날.mp3"])
def test_names_may_be_written_as_they_are_or_encoded(store, name):
    assert remote(store, f"music/우울/{name}").stat().st_size == 5000


def test_of_a_file_there_is_what_there_is_of_a_path(store):
    file = remote(store, "music/우울/비 오는 날.mp3")
    local = store.folder / "music" / "우울" / "비 오는 날.mp3"
    assert (file.name, file.stem, file.suffix) == (local.name, local.stem, local.suffix)
    assert file.parent / "비 오는 날.mp3" == file
    assert file.parent / "../one.mp3" == remote(store, "music/one.mp3")
    assert file.absolute() is file
    assert (file.exists(), file.is_file(), file.is_dir()) == (True, True, False)
    assert file.parent.is_dir()
    assert not (file.parent / "none.mp3").exists()
    assert file.stat().st_mtime_ns // 10**9 == int(local.stat().st_mtime)
    assert file.read_bytes() == local.read_bytes()
    with file.open() as content:
        content.seek(4990)
        assert content.read() == local.read_bytes()[4990:]


def test_a_folder_is_listed_once_with_all_that_is_below(store):
    files = remote(store, "music").files()
    assert [str(file) for file in files] == [
        "s3://music/one.mp3",
        "s3://music/우울/비 오는 날.mp3",
        "s3://music/우울/비 오는 날.txt",
    ]
    before = store.asked.copy()
    assert [file.stat().st_size for file in files] == [5, 5000, 6]
    assert store.asked == before, "what the listing told was asked again"


def test_it_goes_to_another_process(store):
    file = remote(store, "music/one.mp3")
    assert pickle.loads(pickle.dumps(file)).read_bytes() == b"other"


def test_a_copy_is_at_hand_for_a_while(store):
    with at_hand(remote(store, "music/one.mp3")) as path:
        assert path.suffix == ".mp3"
        assert path.read_bytes() == b"other"
    assert not path.exists()
    own = store.folder / "music" / "one.mp3"
    with at_hand(own) as path:
        assert path is own
    assert own.exists()


def test_what_is_wrong_with_a_copy_is_wrong_with_the_file(store):
    def read(path: Path) -> None:
        raise InputError(f"{path} cannot be decoded")

    with (
        pytest.raises(InputError, match=r"^s3://music/one\.mp3 cannot be decoded$"),
        at_hand(remote(store, "music/one.mp3")) as path,
    ):
        read(path)


def test_what_is_not_there_is_told(store):
    absent = remote(store, "music/none.mp3")
    with pytest.raises(FileNotFoundError, match=r"s3://music/none\.mp3"):
        absent.stat()
    with pytest.raises(InputError, match=r"s3://music/none\.mp3 cannot be read"), at_hand(absent):
        pass


def test_a_store_that_does_not_answer_is_told(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a secret")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    query = "endpoint_override=127.0.0.1:9&scheme=http&region=us-east-1"
    folder = place_of_file(f"s3://music/folder?{query}")
    assert isinstance(folder, RemoteFile)
    with pytest.raises(InputError, match="s3://music/folder cannot be listed"):
        folder.files()


@pytest.mark.parametrize(
    "url",
    ["nothing://bucket/song.mp3", "http://example.org/song.mp3", "s3://key:hidden@/x?what=ever"],
)
def test_file_systems_that_nobody_knows_are_refused(url):
    with pytest.raises(InputError, match="cannot be used") as caught:
        place_of_file(url)
    assert "hidden" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_table_elsewhere_has_its_files_beside_it(store):
    (store.folder / "tables").mkdir()
    rows = ["id,audio_path,lyrics_path", "a,../music/one.mp3,", "b,,words/b.txt"]
    rows += [f"c,s3://music/one.mp3?{store.query},", "d,nothing://x/y.mp3,"]
    (store.folder / "tables" / "songs.csv").write_text("\n".join(rows), encoding="utf-8")
    a, b, c, d = read_song_table(remote(store, "tables/songs.csv")).records
    assert str(b.lyrics_path) == "s3://tables/words/b.txt"
    assert c.audio_path is not None
    assert c.audio_path.read_bytes() == b"other"
    assert a.audio_path is not None
    assert a.audio_path.read_bytes() == b"other"
    assert d.problem is not None
    assert "nothing://x/y.mp3" in d.problem


def test_a_damaged_table_elsewhere_is_named(store):
    (store.folder / "music" / "songs.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"s3://music/songs\.csv"):
        read_song_table(remote(store, "music/songs.csv"))
    with pytest.raises(InputError, match=r"s3://music/none\.csv"):
        read_song_table(remote(store, "music/none.csv"))


def test_a_table_here_may_name_files_elsewhere(store, tmp_path):
    table = tmp_path / "songs.csv"
    table.write_text(f"id,audio_path\na,s3://music/one.mp3?{store.query}\n", encoding="utf-8")
    (record,) = read_song_table(table).records
    assert record.audio_path is not None
    assert record.audio_path.read_bytes() == b"other"
    assert os.sep not in record.id
