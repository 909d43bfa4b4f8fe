from app.failure_log import FailureLog
from app.failures import Failure, show_failures, write_failures


def test_it_reads_like_a_list(tmp_path, capsys) -> None:
    failures = [Failure(f"t.csv, row {i}", None if i % 2 else str(i), "무엇\n") for i in range(9)]
    log = FailureLog()
    for failure in failures:
        log.add(failure)
    assert list(log) == failures
    assert list(zip(log, log, strict=True)) == list(zip(failures, failures, strict=True))
    assert [log[i] for i in (0, 3, -1)] == [failures[i] for i in (0, 3, -1)]
    for part in (slice(None, 5), slice(2, 100), slice(None, None, -2), slice(4, 4)):
        assert log[part] == failures[part]
    assert len(log) == 9
    assert failures[3] in log
    show_failures(log, None)
    assert "and 4 more" in capsys.readouterr().err
    write_failures(tmp_path / "errors.jsonl", log)
    assert len((tmp_path / "errors.jsonl").read_text(encoding="utf-8").splitlines()) == 9
    assert not FailureLog()
