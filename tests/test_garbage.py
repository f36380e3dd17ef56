"""The search for garbage is put off while a text is read, and goes on after it, whatever happens."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from threading import Barrier, Thread

import pytest

import sewdsl
from sewdsl.garbage import put_off


@pytest.fixture(autouse=True)
def _enabled() -> Iterator[None]:
    gc.enable()
    yield
    gc.enable()


def test_it_goes_on_behind() -> None:
    with put_off():
        assert not gc.isenabled()
        with put_off():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()


def test_it_goes_on_behind_an_error() -> None:
    with pytest.raises(ZeroDivisionError), put_off():
        raise ZeroDivisionError
    assert gc.isenabled()


def test_it_stays_off_where_it_was() -> None:
    gc.disable()
    with put_off():
        pass
    assert not gc.isenabled()


def test_it_goes_on_behind_the_last_of_several_threads() -> None:
    seen: list[bool] = []
    barrier = Barrier(2, timeout=60)

    def first() -> None:
        with put_off():
            barrier.wait()
            barrier.wait()
            seen.append(gc.isenabled())

    def second() -> None:
        barrier.wait()
        with put_off():
            pass
        seen.append(gc.isenabled())
        barrier.wait()

    threads = [Thread(target=first), Thread(target=second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [False, False]
    assert gc.isenabled()


def test_it_is_put_off_while_a_text_is_read() -> None:
    """A search is made once in 700 new objects, and this text makes more."""
    sewdsl.read("BN", input="1x8x8")  # what is made at first need
    searches: list[str] = []
    gc.callbacks.append(lambda phase, _: searches.append(phase))
    try:
        sewdsl.read("-".join(f"c{i}k3" for i in range(1, 500)), input="1x8x8")
    finally:
        gc.callbacks.pop()
    assert len(searches) <= 4
