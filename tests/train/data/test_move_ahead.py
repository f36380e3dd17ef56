"""Batches on their way to a GPU that is not there: its streams do what they are asked to only when they must.

A copy to the fake GPU is full of -1 until another stream waits for it: what comes out is right only if that was done.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partialmethod
from typing import Any

import pytest
import torch
from torch import Tensor

from sewdsl.train.data import batches as batches_module
from sewdsl.train.data.batches import Batches
from sewdsl.train.data.dataset import DataError, Samples
from tests.words import raises

GPU = torch.device("cuda", 0)


class FakeStream:
    def __init__(self, device: torch.device) -> None:
        assert device == GPU
        self.work: list[Callable[[], object]] = []

    def record_event(self) -> tuple[FakeStream, int]:
        return self, len(self.work)

    def wait_event(self, event: tuple[FakeStream, int]) -> None:
        stream, count = event
        for do in stream.work[:count]:
            do()


class FakeGpu:
    """Simulated GPU, which records retained and pinned tensors.

    Attributes:
        recorded: Tensors whose memory is kept for the computing stream.
        pinned: Tensors in pinned memory.
    """

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.computing, self.now = FakeStream(GPU), threading.local()
        self.recorded: list[Tensor] = []
        self.pinned: list[Tensor] = []
        patch.setattr(torch.cuda, "Stream", FakeStream)
        patch.setattr(torch.cuda, "stream", self.stream)
        patch.setattr(torch.cuda, "current_stream", self.current)
        for name, method in {"pin_memory": self.pin, "to": self.copy, "record_stream": self.record}.items():
            patch.setattr(Tensor, name, partialmethod(self.call, method))

    @staticmethod
    def call(tensor: Tensor, method: Callable[..., Any], *arguments: object, **options: object) -> Any:
        return method(tensor, *arguments, **options)

    def current(self, device: torch.device) -> FakeStream:
        assert device == GPU
        stream: FakeStream = getattr(self.now, "stream", self.computing)
        return stream

    @contextmanager
    def stream(self, stream: FakeStream) -> Iterator[None]:
        self.now.stream = stream
        yield
        del self.now.stream

    def pin(self, tensor: Tensor) -> Tensor:
        self.pinned.append(pinned := tensor.clone())
        return pinned

    def copy(self, tensor: Tensor, device: torch.device, *, non_blocking: bool) -> Tensor:
        assert non_blocking
        assert any(tensor is one for one in self.pinned), "the host would wait for the copy"
        stream = self.current(device)
        assert stream is not self.computing, "the copy would wait for what is computed"
        copied = torch.full_like(tensor, -1)
        stream.work.append(lambda: copied.copy_(tensor))
        return copied

    def record(self, tensor: Tensor, stream: FakeStream) -> None:
        assert stream is self.computing
        self.recorded.append(tensor)


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> FakeGpu:
    return FakeGpu(monkeypatch)


class Noting:
    """Samples that note which of them are read, in which thread; the last one may be damaged."""

    def __init__(self, count: int = 10, *, damaged: bool = False) -> None:
        self.y, self.readers, self.damaged = torch.arange(count), 0, damaged
        self.read: list[list[int]] = []
        self.threads: set[str] = set()
        self.more = threading.Condition()

    def batch(self, indices: Tensor, draw: Any = None) -> Samples:
        with self.more:
            self.read.append(indices.tolist())
            self.threads.add(threading.current_thread().name)
            self.more.notify_all()
        if self.damaged and len(self.y) - 1 in indices.tolist():
            message = "it is damaged"
            raise DataError(message)
        return Samples(indices.float() * (2 if draw else 1), indices)

    def part(self, indices: Tensor) -> Noting:
        raise NotImplementedError

    def wait_for(self, batches: int) -> None:
        with self.more:
            assert self.more.wait_for(lambda: len(self.read) >= batches, timeout=60)


def epoch(batches: Batches) -> list[tuple[list[float], list[int]]]:
    return [(x.tolist(), y.tolist()) for x, y in batches]


@pytest.mark.parametrize("readers", [None, 0, 1, 3])
@pytest.mark.parametrize("seed", [None, 4])
def test_what_arrives_is_what_was_made_in_that_order(gpu: FakeGpu, seed: int | None, readers: int | None) -> None:
    here = Batches(Noting(), 4, seed)
    there = Batches(Noting(), 4, seed, readers=readers, device=GPU)
    for _epoch in range(2):
        assert epoch(there) == epoch(here)
    assert len(gpu.pinned) == 2 * 2 * 3


def test_no_memory_is_used_again_while_something_is_computed_with_it(gpu: FakeGpu) -> None:
    for x, y in Batches(Noting(), 4, device=GPU):
        assert [x is gpu.recorded[-2], y is gpu.recorded[-1]] == [True, True]


def test_the_next_batch_is_made_while_one_is_used_and_no_other(gpu: FakeGpu) -> None:
    samples = Noting()
    with closing(iter(Batches(samples, 3, device=GPU))) as batches:  # type: ignore[type-var]
        for given in range(1, 4):
            next(batches)
            samples.wait_for(given + 1)
            assert len(samples.read) == given + 1
    assert samples.threads == {"move-ahead_0"}
    assert len(gpu.pinned) == 2 * 4


@pytest.mark.parametrize("readers", [0, 2])
def test_what_is_damaged_is_said_in_its_turn(gpu: FakeGpu, readers: int) -> None:
    given = []
    with raises(DataError):
        given += [y.tolist() for _, y in Batches(Noting(7, damaged=True), 2, readers=readers, device=GPU)]
    batches = iter(Batches(Noting(7, damaged=True), 2, readers=readers, device=GPU))
    assert [next(batches).y.tolist() for _ in range(3)] == [[0, 1], [2, 3], [4, 5]]
    with raises(DataError, "2"):
        next(batches)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("move-ahead")]
    assert gpu.pinned


def test_where_it_is_in_its_epoch_is_what_was_given_not_what_was_made(gpu: FakeGpu) -> None:
    samples = Noting()
    batches = Batches(samples, 2, seed=1, device=GPU)
    under_way = iter(batches)
    first = [next(under_way).y.tolist() for _ in range(2)]
    samples.wait_for(3)
    state = batches.state_dict()
    under_way.close()  # type: ignore[attr-defined]
    assert state == {"epoch": 0, "given": 2}
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("move-ahead")]
    again = Batches(Noting(), 2, seed=1, device=GPU)
    again.load_state_dict(state)
    assert first + [y for _, y in epoch(again)] == [y for _, y in epoch(Batches(Noting(), 2, seed=1))]
    assert gpu.pinned


@pytest.mark.parametrize("device", [None, "cpu", "mps"])
def test_elsewhere_batches_stay_where_they_are_made(device: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(batches_module, "move_ahead")
    samples = Noting()
    given = Batches(samples, 4, device=None if device is None else torch.device(device))
    assert [y for _, y in epoch(given)] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert samples.threads == {"MainThread"}
