"""The houses and floors: which package may import which, and what serving must not import."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# Rooms of the house fusion: what serves knows nothing of what measures, nor that of the studies.
ROOMS = {"fusion": 0, "fusion.evaluation": 1, "fusion.studies": 2}

# Imports run from a higher floor to a lower one; two houses of one floor do not know each other.
FLOORS = {"data_prep": 0, "lyrics_model": 1, "audio_model": 1, "fusion": 2, "app": 3}
PREDICTORS = {"lyrics_model.predictor", "audio_model.predictor"}

HEAVY = (
    "torch", "torchaudio", "torchvision", "transformers", "timm", "lightning", "librosa",
    "gradio", "matplotlib", "sklearn", "scipy", "gensim", "h5py", "onnx", "pandas", "faiss",
    "ray", "implicit", "ctranslate2",
)  # fmt: skip

SERVING = (
    "app.cli", "app.demo", "app.commands.plain_text", "app.commands.recommend",
    "app.commands.tag", "app.library.exporting", "app.library.indexing",
    "app.library.kakao_arena", "app.library.playlist", "app.library.song_sources",
    "app.library.source_hygiene", "app.library.tag_writing", "app.library.tags",
    "app.tables.table", "app.tables.files", "app.reading_pool",
    "audio_model.decode", "audio_model.log_mel", "audio_model.predictor",
    "data_prep.catalogue", "data_prep.language", "data_prep.lyrics_text",
    "data_prep.model_folder", "data_prep.taxonomy", "data_prep.readers.song_table",
    "data_prep.onnx_network", "data_prep.remote_file",
    "fusion.analysis", "fusion.calibration", "fusion.catalogue_shelf", "fusion.collaborative",
    "fusion.combination", "fusion.shelf_folder", "fusion.song_facts",
    "fusion.embedding_search", "fusion.hygiene", "fusion.mixed_search", "fusion.quantile_map",
    "fusion.reasons", "fusion.recommendation", "fusion.rescoring", "fusion.rules",
    "fusion.search", "fusion.settings", "fusion.shelf", "fusion.similarity",
    "lyrics_model.predictor",
)  # fmt: skip


def modules() -> Iterator[tuple[str, Path]]:
    for package in FLOORS:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            yield ".".join(parts).removesuffix(".__init__"), path


def imported(path: Path) -> set[str]:
    """Every module a file imports, at its top or within a function, absolute."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute here"
            assert node.module is not None
            names.add(node.module)
            # `from audio_model import predictor` names a module as well
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


MODULES = dict(modules())


@pytest.mark.parametrize("name", MODULES)
def test_imports_run_one_way(name):
    house = name.partition(".")[0]
    for other in sorted({module.partition(".")[0] for module in imported(MODULES[name])}):
        if other in FLOORS and other != house:
            assert FLOORS[other] < FLOORS[house], f"{name} must not import {other}"


def room_of(module):
    return next(
        (
            room
            for room in sorted(ROOMS, reverse=True)
            if module == room or module.startswith(f"{room}.")
        ),
        None,
    )


@pytest.mark.parametrize("name", [name for name in MODULES if room_of(name)])
def test_imports_within_fusion_run_one_way(name):
    for module in sorted(imported(MODULES[name])):
        other = room_of(module)
        if other is not None and (module in MODULES or module.rpartition(".")[0] in MODULES):
            assert ROOMS[other] <= ROOMS[room_of(name)], f"{name} must not import {module}"


def test_one_file_alone_knows_both_predictors():
    both = [name for name, path in MODULES.items() if imported(path) >= PREDICTORS]
    assert both == ["fusion.analysis"]


def test_only_the_page_knows_gradio():
    for name, path in MODULES.items():
        if not name.startswith("app.page"):
            assert not any(m.partition(".")[0] == "gradio" for m in imported(path)), name


def test_no_package_has_a_drawer_for_everything():
    forbidden = {"utils", "util", "helpers", "helper", "common", "misc"}
    for name in MODULES:
        assert not forbidden & set(name.split(".")), name


def loaded_by(code: str) -> set[str]:
    """Top-level modules in a fresh interpreter after some code."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys\nprint('\\n' + ' '.join(sys.modules))"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    return {name.partition(".")[0] for name in done.stdout.splitlines()[-1].split()}


def test_serving_imports_no_training_library():
    present = [name for name in SERVING if importlib.util.find_spec(name) is not None]
    loaded = loaded_by("import " + ", ".join(present))
    assert "onnxruntime" not in loaded, "the runtime is loaded with a model, not before"
    assert sorted(loaded & set(HEAVY)) == []


def test_the_command_line_imports_nothing_before_a_command_needs_it():
    loaded = loaded_by("import app.cli")
    early = {"numpy", "sqlalchemy", "onnxruntime", "tokenizers", "soundfile", "pyarrow", "rich"}
    assert sorted(loaded & (early | set(HEAVY))) == []


def test_the_catalogue_does_without_the_orm():
    code = "import data_prep.catalogue, sys; assert 'sqlalchemy.orm' not in sys.modules"
    loaded_by(code)
