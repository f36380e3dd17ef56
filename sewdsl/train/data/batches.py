"""Batches of samples: prefetched by threads from files, and moved to a GPU in advance."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator, Mapping
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
    """Iterable over batches ``(x, y)``, where each iteration is the next epoch.

    The order of the samples and the augmentation depend only on the seed and the epoch.
    """

    samples: SampleSet
    size: int
    """Batch size. The last batch of an epoch may be smaller."""
    seed: int | None = None
    """Seed of the shuffling and of the augmentation. None keeps the order and disables the augmentation."""
    epoch: int = 0
    """Current epoch, or the next one between epochs, from 0."""
    first: int = 0
    """Batch to start the next iteration with, from 0."""
    process: int = 0
    """Index of this process among the processes of the run, from 0."""
    processes: int = 1
    readers: int | None = None
    """Number of threads that prefetch batches, or 0 for none. None takes the number of the dataset. The batches are
    bit-identical for every number."""
    device: torch.device | None = None
    """Device of the model. Batches are moved to a CUDA device in advance, and to no other device."""
    yielded: int = 0
    """Number of batches of the current epoch that were yielded."""
    augmentation: Augmentation = field(default_factory=Augmentation)
    """Transforms of samples and of batches, for any dataset."""
    classes: int = 0
    """Number of classes (required to mix batches)."""

    def __len__(self) -> int:
        return ceil(self._shared / self.size)

    @property
    def largest(self) -> int:
        """Size of every batch except possibly the last, or of the only batch."""
        return min(self.size, self._shared)

    def __iter__(self) -> Iterator[Samples]:
        import torch

        # A restored position applies to one iteration only.
        first, self.first = self.first, 0
        draw = None if self.seed is None else RandomSource(self.seed, self.epoch)
        chunks = torch.split(self._share(self._order()), self.size)[first:]
        readers = self.samples.readers if self.readers is None else self.readers
        unprefetched = (self._batch(indices, draw) for indices in chunks)
        batches = self._ahead(chunks, draw, readers) if readers else unprefetched
        if self.device is not None and self.device.type == "cuda":
            batches = move_ahead(batches, self.device)
        # The count is set before the yield: a checkpoint after the training step includes this batch.
        for self.yielded, batch in enumerate(batches, start=first + 1):
            yield batch
        self.epoch += 1

    def state_dict(self) -> dict[str, int]:
        """Return the position in the epoch."""
        return {"epoch": self.epoch, "given": self.yielded}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Restore a position in the epoch, without reading earlier batches again."""
        self.epoch, self.first = state["epoch"], state["given"]

    @property
    def _shared(self) -> int:
        """Number of samples of this process."""
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
        """Return every n-th index, for this one of n processes."""
        # In training, processes exchange gradients at every step: give all of them equally many samples.
        if self.seed is not None:
            order = order[: len(order) // self.processes * self.processes]
        return order[self.process :: self.processes]

    def _batch(self, indices: Tensor, draw: RandomSource | None) -> Samples:
        x, y = self.samples.batch(indices, draw)
        x = self.augmentation.of_samples(x, indices, draw)
        return Samples(*self.augmentation.of_batch(x, y, int(indices[0]), draw, self.classes))

    def _ahead(self, chunks: tuple[Tensor, ...], draw: RandomSource | None, readers: int) -> Generator[Samples]:
        """Yield the batches in order, and read the following ones in the background."""
        pool = ThreadPoolExecutor(readers, "read-ahead")
        pending: deque[Future[Samples]] = deque()
        try:
            for indices in chunks:
                pending.append(pool.submit(self._batch, indices, draw))
                # Two batches per thread keep the threads busy without holding many batches in memory.
                if len(pending) > 2 * readers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            # After an early exit, do not read the remaining batches.
            pool.shutdown(cancel_futures=True)


def move_ahead(batches: Generator[Samples], device: torch.device) -> Generator[Samples]:
    """Yield the batches in order, each moved to a CUDA GPU while the previous one is used.

    A thread makes the next batch, pins its memory and copies it on a separate stream. The stream that is current when
    the batch is requested waits for the copy. The host waits only for the thread. The GPU holds the current and the
    next batch, and briefly the previous one as well.

    Args:
        batches: Generator that only the thread advances. It is closed at the end.
    """
    import torch

    from sewdsl.lower.inputs import map_inputs

    stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def to_device(part: Tensor) -> Tensor:
        return part.pin_memory().to(device, non_blocking=True)

    def move_next() -> tuple[Samples, torch.cuda.Event] | None:
        batch = next(batches, None)
        if batch is None:
            return None
        with torch.cuda.stream(stream):
            # PyTorch does not reuse pinned memory before the copy has finished.
            moved = Samples(*(map_inputs(to_device, part) for part in batch))
            return moved, stream.record_event()

    mover = ThreadPoolExecutor(1, "move-ahead")
    try:
        pending = mover.submit(move_next)
        while (next_batch := pending.result()) is not None:
            pending = mover.submit(move_next)
            moved, copied = next_batch
            computing = torch.cuda.current_stream(device)
            computing.wait_event(copied)
            for part in (*(moved.x.values() if isinstance(moved.x, Mapping) else [moved.x]), moved.y):
                # Without this, the side stream could reuse the memory while the computing stream still reads it.
                part.record_stream(computing)
            yield moved
    finally:
        mover.shutdown(cancel_futures=True)
        batches.close()
