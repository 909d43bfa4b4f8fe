"""A saved index answers as the one that was built, and a bad one is refused by name."""

import json
import subprocess
import sys

import numpy as np
import pytest

from data_prep.errors import IndexFolderError, InputError
from fusion.index_folder import VERSION
from fusion.search import EmotionIndex, SimilarityIndex

SONGS = np.random.default_rng(1).dirichlet(np.full(6, 0.5), size=3_000).astype(np.float32)
SONGS[::9] = SONGS[4]
SONGS[5::90] = 0


@pytest.fixture
def saved(tmp_path):
    folder = tmp_path / "index"
    EmotionIndex(SONGS).save(folder)
    return folder


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n_songs", [0, 1, 3_000])
def test_a_loaded_index_answers_as_the_one_that_was_built(tmp_path, dtype, n_songs):
    built = EmotionIndex(SONGS[:n_songs].astype(dtype))
    built.save(tmp_path / "index")
    loaded = EmotionIndex.load(tmp_path / "index")
    assert len(loaded) == n_songs
    mask = np.arange(n_songs) % 3 == 0
    queries = np.random.default_rng(2).dirichlet(np.ones(6), size=8)
    for one, other in zip(
        [built.query_many(queries, 20), *(built.query(q, 20, mask) for q in queries)],
        [loaded.query_many(queries, 20), *(loaded.query(q, 20, mask) for q in queries)],
        strict=True,
    ):
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[1], other[1])


def test_nothing_is_copied_into_memory(saved):
    index = EmotionIndex.load(saved)
    arrays = [index._vectors, *index._parts[0].cells.arrays().values()]
    for array in arrays:
        assert not array.flags.writeable
        assert not array.flags.owndata


def test_saving_replaces_an_older_index_and_leaves_nothing_else(saved):
    in_use = EmotionIndex.load(saved)
    before = in_use.query(np.ones(6), 5)[0].tolist()
    SimilarityIndex(SONGS[:100], "hellinger").save(saved)
    assert len(SimilarityIndex.load(saved)) == 100
    assert in_use.query(np.ones(6), 5)[0].tolist() == before
    assert [path.name for path in saved.parent.iterdir()] == ["index"]


def test_an_interrupted_save_leaves_the_older_index(saved, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(InputError, match="No space left"):
        EmotionIndex(SONGS[:10]).save(saved)
    assert len(EmotionIndex.load(saved)) == len(SONGS)
    assert [path.name for path in saved.parent.iterdir()] == ["index"]


def test_a_folder_of_something_else_is_not_replaced(tmp_path):
    (tmp_path / "music").mkdir()
    (tmp_path / "music" / "song.mp3").write_bytes(b"x")
    with pytest.raises(InputError, match=r"music.*new folder"):
        EmotionIndex(SONGS).save(tmp_path / "music")
    assert (tmp_path / "music" / "song.mp3").exists()
    with pytest.raises(InputError, match="cannot be written"):
        EmotionIndex(SONGS).save(tmp_path / "missing" / "index")


def test_what_is_no_index(tmp_path, saved):
    with pytest.raises(IndexFolderError, match=r"nothing is no index.*index\.json"):
        EmotionIndex.load(tmp_path / "nothing")
    SimilarityIndex(SONGS, "hellinger").save(tmp_path / "other")
    with pytest.raises(IndexFolderError, match="hellinger, expected cosine"):
        EmotionIndex.load(tmp_path / "other")


@pytest.mark.parametrize("name", ["vectors", "0-points", "0-starts", "0-rows", "0-cell_low"])
@pytest.mark.parametrize("harm", ["truncated", "changed", "missing", "header"])
def test_a_damaged_file_is_named(saved, name, harm):
    path = saved / f"{name}.npy"
    content = bytearray(path.read_bytes())
    if harm == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif harm == "changed":
        content[-3] ^= 1
        path.write_bytes(content)
    elif harm == "header":
        content[:6] = b"000000"
        path.write_bytes(content)
    else:
        path.unlink()
    with pytest.raises(IndexFolderError, match=rf"{name}\.npy"):
        EmotionIndex.load(saved)
    if harm != "changed":
        with pytest.raises(IndexFolderError, match=rf"{name}\.npy"):
            EmotionIndex.load(saved, verify=False)


def test_another_version_or_a_changed_head_is_refused(saved):
    path = saved / "index.json"
    text = path.read_text(encoding="utf-8")
    head = json.loads(text)
    path.write_text(json.dumps(head | {"version": VERSION + 1}), encoding="utf-8")
    with pytest.raises(IndexFolderError, match=f"version {VERSION + 1}.*build the index anew"):
        EmotionIndex.load(saved)
    path.write_text(text.replace("cosine", "hellinger"), encoding="utf-8")
    with pytest.raises(IndexFolderError, match="checksum"):
        EmotionIndex.load(saved)
    for broken in ("", text[: len(text) // 2], "[]", "{}", "3"):
        path.write_text(broken, encoding="utf-8")
        with pytest.raises(IndexFolderError, match=r"index\.json is damaged"):
            EmotionIndex.load(saved)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(IndexFolderError, match=r"index\.json"):
        EmotionIndex.load(saved)


def test_loading_and_searching_needs_no_other_library(saved):
    code = (
        "import sys; import numpy as np; from pathlib import Path\n"
        "from fusion.search import EmotionIndex\n"
        f"EmotionIndex.load(Path({str(saved)!r})).query(np.ones(6), 3)\n"
        "print(sorted({'scipy', 'sklearn', 'faiss', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
