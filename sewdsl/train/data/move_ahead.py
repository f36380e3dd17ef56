"""Batches on their way to a GPU: the next one is made and copied while one is computed."""

from __future__ import annotations

from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from sewdsl.train.data.dataset import Samples

if TYPE_CHECKING:
    import torch


def move_ahead(batches: Generator[Samples], device: torch.device) -> Generator[Samples]:
    """The same batches in the same order, on a CUDA GPU.

    A thread of its own makes the batch that comes next, puts it into pinned memory, from which the GPU reads by itself,
    and copies it on a stream of its own. What computes with it, on the stream that is current when it is asked for,
    waits there for the copy; the host waits for the thread alone. On the GPU are the batch that is used and
    the next one, and for a moment, when a batch has just been asked for, the one before too.

    Args:
        batches: Made by that thread, one after another; they are closed at the end.
        device: The GPU.
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
