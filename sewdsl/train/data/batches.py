"""Samples, a batch at a time: from memory at once, from files by threads that read ahead, on GPUs moved ahead."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import field
from math import ceil
from typing import TYPE_CHECKING

from sewdsl.light_dataclass import dataclass
from sewdsl.train.data.augmentation import Augmentation, RandomSource
from sewdsl.train.data.dataset import Samples, SampleSet

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass
class Batches:
    """What Lightning iterates over: each time an epoch of ``(x, y)``.

    The order of an epoch and its augmentation depend on the seed and the epoch alone, not on what was drawn elsewhere.

    Attributes:
        size: Samples in a batch; the last batch has what is left.
        seed: Seed of the shuffling and the augmentation; None: the samples keep their order, and are as they are.
        epoch: The epoch that comes next, counted from 0, or that is under way.
        first: The batch that comes first when it is iterated over next, counted from 0.
        process: Which of the processes that share the samples this is, from 0.
        readers: Threads that prefetch batches; 0: none. None: as many as the samples ask for. They change no bit.
        device: Where the batches are wanted. To a CUDA GPU they are moved while those before are used; on any other
            device, and with None, they are given where they were made.
        given: Batches of the epoch under way that were given already.
        augmentation: What is done to samples and to whole batches, whatever dataset they are of.
        classes: Number of classes, where batches are mixed.
    """

    samples: SampleSet
    size: int
    seed: int | None = None
    epoch: int = 0
    first: int = 0
    process: int = 0
    processes: int = 1
    readers: int | None = None
    device: torch.device | None = None
    given: int = 0
    augmentation: Augmentation = field(default_factory=Augmentation)
    classes: int = 0

    def __len__(self) -> int:
        return ceil(self._shared / self.size)

    @property
    def largest(self) -> int:
        """Samples in every batch but the last one, which may have fewer; of a single batch, in that."""
        return min(self.size, self._shared)

    def __iter__(self) -> Iterator[Samples]:
        import torch

        first, self.first = self.first, 0
        draw = None if self.seed is None else RandomSource(self.seed, self.epoch)
        chunks = torch.split(self._share(self._order()), self.size)[first:]
        readers = self.samples.readers if self.readers is None else self.readers
        at_hand = (self._batch(indices, draw) for indices in chunks)
        batches = self._ahead(chunks, draw, readers) if readers else at_hand
        if self.device is not None and self.device.type == "cuda":
            batches = move_ahead(batches, self.device)
        for self.given, batch in enumerate(batches, start=first + 1):
            yield batch
        self.epoch += 1

    def state_dict(self) -> dict[str, int]:
        """Return the place in the epoch."""
        return {"epoch": self.epoch, "given": self.given}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Resume from a place; the batches before it are not read."""
        self.epoch, self.first = state["epoch"], state["given"]

    @property
    def _shared(self) -> int:
        """How many samples this process has."""
        import torch

        return len(self._share(torch.arange(len(self.samples.y))))

    def _order(self) -> Tensor:
        import numpy as np
        import torch

        length = len(self.samples.y)
        if self.seed is None:
            return torch.arange(length)
        return torch.from_numpy(np.random.default_rng((self.seed, self.epoch)).permutation(length))

    def _share(self, order: Tensor) -> Tensor:
        """Return this process's part, every n-th sample of n processes; in training, all have as many."""
        if self.seed is not None:
            order = order[: len(order) // self.processes * self.processes]
        return order[self.process :: self.processes]

    def _batch(self, indices: Tensor, draw: RandomSource | None) -> Samples:
        x, y = self.samples.batch(indices, draw)
        x = self.augmentation.of_samples(x, indices, draw)
        return Samples(*self.augmentation.of_batch(x, y, int(indices[0]), draw, self.classes))

    def _ahead(self, chunks: tuple[Tensor, ...], draw: RandomSource | None, readers: int) -> Generator[Samples]:
        """Yield the batches in order; while one is used, others are read."""
        pool = ThreadPoolExecutor(readers, "read-ahead")
        coming: deque[Future[Samples]] = deque()
        try:
            for indices in chunks:
                coming.append(pool.submit(self._batch, indices, draw))
                if len(coming) > 2 * readers:
                    yield coming.popleft().result()
            while coming:
                yield coming.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def move_ahead(batches: Generator[Samples], device: torch.device) -> Generator[Samples]:
    """Yield the same batches in the same order, on a CUDA GPU.

    A thread of its own makes the batch that comes next, puts it into pinned memory, from which the GPU reads by itself,
    and copies it on a stream of its own. What computes with it, on the stream that is current when it is asked for,
    waits there for the copy; the host waits for the thread alone. On the GPU are the batch that is used and
    the next one, and for a moment, when a batch has just been asked for, the one before too.

    Args:
        batches: Made by that thread, one after another; they are closed at the end.
    """
    import torch

    stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def move_next() -> tuple[Samples, torch.cuda.Event] | None:
        batch = next(batches, None)
        if batch is None:
            return None
        with torch.cuda.stream(stream):
            # torch keeps pinned memory from being used again until the copy has been made
            moved = Samples(*(part.pin_memory().to(device, non_blocking=True) for part in batch))
            return moved, stream.record_event()

    mover = ThreadPoolExecutor(1, "move-ahead")
    try:
        coming = mover.submit(move_next)
        while (found := coming.result()) is not None:
            coming = mover.submit(move_next)
            moved, copied = found
            computing = torch.cuda.current_stream(device)
            computing.wait_event(copied)
            for part in moved:
                # the memory is the side stream's, which would take it again while the computing stream still reads it
                part.record_stream(computing)
            yield moved
    finally:
        mover.shutdown(cancel_futures=True)
        batches.close()
