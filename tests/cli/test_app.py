"""The whole command line, and what a process builds of it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection

import pytest

from sewdsl.cli import app


@pytest.mark.parametrize(
    ("words", "built"),
    [
        (["check", "7b-net"], ["check"]),
        (["weights", "convert"], ["weights"]),
        (["--help"], [*app.COMMANDS, *app.GROUPS]),
        (["chek"], [*app.COMMANDS, *app.GROUPS]),
        ([], [*app.COMMANDS, *app.GROUPS]),
    ],
)
def test_no_command_is_imported_but_the_one_that_is_called(
    words: list[str], built: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a command, all of them are imported, for the help and for suggestions."""
    asked: list[str] = []

    def build_app(names: Collection[str], *, completing: bool) -> Callable[[], None]:
        asked.extend(names)
        return lambda: None

    monkeypatch.setattr(app, "build_app", build_app)
    monkeypatch.setattr(sys, "argv", ["sewdsl", *words])
    app.main()
    assert asked == built


def test_an_unknown_attribute_is_an_error() -> None:
    with pytest.raises(AttributeError):
        app.nothing  # noqa: B018
