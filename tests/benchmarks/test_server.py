"""The language server's answers are measured by one command."""

import pytest

from benchmarks import server


@pytest.mark.deep
def test_a_table_of_all_answers(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(server, "MORE", 2)
    monkeypatch.setattr(server, "REST", 0)
    server.main(rounds=1)
    head, _, *rows = capsys.readouterr().out.splitlines()
    assert head == "| answer | first | typed | longest | again |"
    assert [row.split("`")[1] for row in rows][:3] == ["publishDiagnostics", "hover", "inlayHint"]
    assert all(" ms |" in row for row in rows)
    assert len(rows) == 11
