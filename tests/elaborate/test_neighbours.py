"""A block that another file of the folder defines."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

import sewdsl
from sewdsl.elaborate.text_files import MAX_SIBLING_FILES, SiblingBlocks, shipped_definitions
from sewdsl.resources import resource_folder
from tests.systems import make_fifo, make_link

NETS = resource_folder("nets")
BODY = "sewdsl 1\ninput 2x8x8\nbody c4k3-BN-IF-My Block (c4)-FC10\n"
MINE = "sewdsl 1\nblock Other(c) = BN\n  block  My  Block (c=in) = BN\n"


def help_of(file: Path | str) -> str:
    (said,) = sewdsl.read(file).diagnostics
    assert said.code == "unknown-name"
    return said.help


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "a.net").write_text(BODY)
    return tmp_path / "a.net"


def test_the_file_that_defines_it_is_named(file: Path) -> None:
    file.with_name("mine.net").write_text(MINE)
    assert help_of(file) == "add 'use \"mine.net\"' to the file, which defines it"
    file.write_text(BODY.replace("body", 'use "mine.net"\nbody'))
    assert sewdsl.read(file).diagnostics == ()


def test_without_one_the_statement_is_named(file: Path) -> None:
    use = "import blocks of other files with 'use \"file.net\"'"
    assert help_of(file) == f"did you mean 'MS Block'? Otherwise, {use}"
    file.write_text(BODY.replace("My Block (c4)", "Quux Quux"))
    assert help_of(file) == use


def test_a_string_uses_nothing() -> None:
    assert help_of(BODY) == "did you mean 'MS Block'?"


def test_the_shipped_file_that_defines_it_is_named(tmp_path: Path) -> None:
    """Some names in shipped files that a source cannot use without them. Following the help makes them known."""
    named = 0
    for name, shipped in [*shipped_definitions().items()][::6]:
        definition = re.search(rf"^(block|neuron) {' ?'.join(name)}\b", (NETS / shipped).read_text(), re.MULTILINE)
        assert definition is not None
        text = f"sewdsl 1\ninput 2x8x8\nbody c4k3-IF-{definition[0].partition(' ')[2]}\n"
        hints = [said.help for said in sewdsl.read(text).diagnostics if said.code == "unknown-name"]
        for hint in hints:
            named += hint == (
                f"copy the shipped file that defines it with 'sewdsl nets {shipped.removesuffix('.net')} > {shipped}', "
                f"and add 'use \"{shipped}\"' to yours"
            )
        if hints:
            shutil.copy(NETS / shipped, tmp_path)
            (tmp_path / "a.net").write_text(text.replace("body", f'use "{shipped}"\nbody'))
            assert "unknown-name" not in {each.code for each in sewdsl.read(tmp_path / "a.net").diagnostics}
    assert named > 5


def test_what_cannot_be_read_is_passed_over(file: Path) -> None:
    make_fifo(file.with_name("b.net"))
    file.with_name("c.net").mkdir()
    file.with_name("d.net").write_bytes(b"\xff\x00")
    file.with_name("large.net").write_text(MINE + "#" * 300_000)
    (file.parent / "below").mkdir()
    (file.parent / "below" / "mine.txt").write_text(MINE)
    make_link(file.with_name("link.net"), "below/mine.txt")
    assert "use" in help_of(file)
    assert SiblingBlocks(file, 300_000).blocks == {}
    assert SiblingBlocks(file.parent / "away" / "a.net", 300_000).blocks == {}


def test_not_all_files_are_looked_into(file: Path) -> None:
    for number in range(MAX_SIBLING_FILES + 1):
        file.with_name(f"n{number:03}.net").write_text(f"block N{number}(c) = BN")
    assert len(SiblingBlocks(file, 300_000).blocks) == MAX_SIBLING_FILES
