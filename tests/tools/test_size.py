"""The size of each room of the package, and the budgets."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

from tools import size
from tools.size import Size

MODULE = '''"""Module

of three lines."""

# A comment.
from os import (
    path,
)


class Pair:
    """Class."""

    first: int
    """A field."""

    def sum(self) -> str:
        """Function."""
        return f"""{self.first}
        and text"""  # why
'''
"""Code: an import of three lines, a class, a field and its text, a function, and a string of two lines."""


def test_lines_of_code_leave_out_explanations() -> None:
    assert size.measure(MODULE)[:2] == (20, 9)
    shorter = MODULE.replace("# A comment.\n", "").replace('    """Class."""\n\n', "").replace("  # why", "")
    assert size.measure(shorter)[1:] == size.measure(MODULE)[1:]


def test_denser_code_has_as_many_tokens() -> None:
    long, dense = size.measure("f(\n    a,\n    b\n)\n"), size.measure("f(a, b)\n")
    assert (long.code, dense.code) == (4, 1)
    assert long.tokens == dense.tokens


def test_rooms_are_folders_and_the_modules_beside_them() -> None:
    modules = {"syntax/parser.py": "a = 1\n", "syntax/deep/tree.py": "a = 1\n", "paths.py": "a = 1\n", "x.py": ""}
    rooms = size.measure_rooms((PurePosixPath(path), text) for path, text in modules.items())
    assert {room: measured.code for room, measured in rooms.items()} == {"modules": 1, "syntax": 2}


ROOMS = {"ir": Size(20, 10, 50), "snn": Size(60, 30, 90)}


@pytest.mark.parametrize(
    ("budgets", "messages", "tightened"),
    [
        ({"ir": 10, "snn": 30}, [], {"ir": 10, "snn": 30}),
        ({"ir": 12, "snn": 31}, [], {"ir": 10, "snn": 30}),
        ({"ir": 9, "snn": 40}, ["ir has 10 lines of code, expected at most 9"], {"ir": 9, "snn": 30}),
        ({"ir": 10}, ["snn has no budget; add 'snn = 30'"], {"ir": 10}),
        ({"ir": 10, "snn": 30, "ops": 5}, ["ops does not exist"], {"ir": 10, "snn": 30}),
    ],
    ids=["equal", "smaller", "larger", "new", "deleted"],
)
def test_budgets(
    budgets: dict[str, int],
    messages: list[str],
    tightened: dict[str, int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "size.toml"
    file.write_text("".join(f"{room} = {budget}\n" for room, budget in budgets.items()), encoding="utf-8")
    monkeypatch.setattr(size, "ROOT", tmp_path)
    monkeypatch.setattr(size, "BUDGETS", file)
    monkeypatch.setattr(size, "current_rooms", lambda: ROOMS)
    assert size.main([]) == bool(messages)
    output = capsys.readouterr().out
    assert output.count("error: ") == len(messages)
    assert all(f"error: {message}" in output for message in messages)
    size.main(["--tighten"])
    assert size.read_budgets() == tightened
    assert size.main([]) == (any(tightened.get(room, 0) < measured.code for room, measured in ROOMS.items()))
