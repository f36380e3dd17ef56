"""A cache of each test's own, and the real recordings where they are next to the checkout."""

from pathlib import Path

import pytest

SHARED = Path(__file__).parents[4] / "shared" / "data"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of cached frames during the test."""
    path = tmp_path / "cache"
    monkeypatch.setenv("SEWDSL_CACHE", str(path))
    monkeypatch.delenv("SEWDSL_DATA", raising=False)
    return path


@pytest.fixture
def shared() -> Path:
    """The folder of real recordings."""
    if not SHARED.is_dir():
        pytest.skip(f"no recordings in {SHARED}")
    return SHARED
