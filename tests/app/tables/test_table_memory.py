"""A long table is analysed in bounded memory."""

from __future__ import annotations

import tracemalloc

import numpy as np

from app.tables import table as table_module
from app.tables.table import analyse_table
from lyrics_model.predictor import LyricReading

ROWS = 100_000
BOUND = 8_000_000  # bytes; the ids alone would take more


def test_a_hundred_thousand_rows(tmp_path, analyser, monkeypatch) -> None:
    """What is held does not grow with the table: not rows, results, ids or failures."""
    analysis = analyser.analyse("슬픔", as_mood=True)

    class Stub:
        model_hash = "stub"

        def read_many(self, texts, *, as_mood=False):
            return [LyricReading(np.full(6, 1 / 6, np.float32), "ko", None)] * len(texts)

    analyser._lyric_predictor = Stub()
    monkeypatch.setattr(analyser, "combine", lambda *_, **__: analysis)
    # Most of a traced run's time would go into the 18 probabilities of a row.
    monkeypatch.setattr(table_module, "flat_result", lambda _: {"top": "sadness"})
    texts = ("오늘 우울해", "비", "밤", "")
    with (tmp_path / "in.csv").open("w", encoding="utf-8") as file:
        file.write("id,text\n")
        file.writelines(f"a-song-with-the-id-{i},{texts[i % 4]}\n" for i in range(ROWS))
    tracemalloc.start()
    try:
        report = analyse_table(tmp_path / "in.csv", tmp_path / "out.csv", analyser)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (report.rows, len(report.failures)) == (ROWS, ROWS // 4)
    assert peak < BOUND
    with (tmp_path / "out.csv").open(encoding="utf-8") as lines:
        assert sum(1 for _ in lines) == ROWS + 1
