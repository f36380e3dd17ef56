"""Each target over a few texts; in a deep run, the runner over more, and over one that hangs, dies and raises."""

from __future__ import annotations

import re
import sys
from importlib import import_module
from random import Random

import pytest

from sewdsl.ir.op import Activation, Layer, Merge
from sewdsl.ops import catalogue
from tools.fuzz import networks
from tools.fuzz.running import Outcome, run, text_for
from tools.fuzz.texts import MAX_BYTES, numbered_text

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the limit of processor time is POSIX's")


def outcome(target: str, count: int, bound: float | None = None) -> Outcome:
    *_, found = run(target, 1, 0, count, bound=bound)
    return found


@pytest.mark.parametrize(("target", "count"), [("check", 15), ("damaged", 15), ("lsp", 4), ("page", 8)])
def test_a_target_holds_for_a_few_texts(target: str, count: int) -> None:
    """In this process, which a text that hangs keeps busy."""
    for number in range(count):
        text, random = text_for(target)(1, number), Random(f"{target}/1/{number}")  # noqa: S311 -- the same each time
        import_module(f"tools.fuzz.{target}").ask(text, random)


@pytest.mark.deep
@pytest.mark.parametrize(
    ("target", "count"),
    [("check", 40), ("damaged", 50), ("draw", 6), ("lsp", 10), ("networks", 1), ("page", 20)],
)
def test_a_target_holds(target: str, count: int) -> None:
    found = outcome(target, count)
    assert not found.failures, "\n\n".join(map(str, found.failures))
    assert found.texts == count


@pytest.mark.deep
def test_a_text_that_hangs_or_raises_is_named_and_the_rest_is_asked() -> None:
    found = outcome("broken_target", 6, bound=0.1)
    assert found.texts == 6
    hangs, dies, raises = found.failures
    assert (hangs.number, dies.number, raises.number) == (1, 3, 4)
    assert "broken_target.py" in hangs.reason
    assert "ended with 7" in dies.reason
    assert "ValueError: as is tested" in raises.reason
    assert "--seed 1 --first 1 --count 1" in str(hangs)


def test_texts_follow_from_two_numbers() -> None:
    texts = [numbered_text(1, number) for number in range(300)]
    assert texts == [numbered_text(1, number) for number in range(300)]
    assert texts != [numbered_text(2, number) for number in range(300)]
    assert len(set(texts)) > 270


def test_random_networks_have_every_kind() -> None:
    """Surrogates, which each network has, and EMB, which reads integers, are exceptions."""
    texts = [networks.numbered_text(1, number) for number in range(600)]
    words = {word for text in texts for word in re.findall("[A-Za-z]+?(?=k?[^A-Za-z])", text)}
    kinds = {name for name, kind in catalogue().items() if issubclass(kind, Layer | Activation | Merge)}
    assert kinds - words == {"EMB"}


def test_no_text_is_longer_than_the_language_allows() -> None:
    lengths = [len(numbered_text(1, number).encode("utf-8", "surrogatepass")) for number in range(999, 10_000, 1000)]
    assert max(lengths) <= MAX_BYTES
    assert sum(length > MAX_BYTES // 2 for length in lengths) >= 3
