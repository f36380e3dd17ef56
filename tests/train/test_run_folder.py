"""Locks of run folders."""

import time

import pytest

from sewdsl.train.store import run_folder


def test_who_only_looks_is_waited_for_and_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """Less than a tenth of a second in all: a command says at once that a run is in use."""
    waits: list[float] = []
    monkeypatch.setattr(run_folder, "lock_descriptor", lambda *_, **__: False)
    monkeypatch.setattr(time, "sleep", waits.append)
    assert not run_folder.try_lock(0)
    assert 0 < sum(waits) < 0.1
    waits.clear()
    monkeypatch.setattr(run_folder, "lock_descriptor", lambda *_, **__: len(waits) == 2)
    assert run_folder.try_lock(0)
    assert len(waits) == 2
