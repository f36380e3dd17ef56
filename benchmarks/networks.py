"""Networks on the command lines of the benchmarks: ``NETWORK[:SIZE]``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import sewdsl
from sewdsl.cli.print_diagnostics import print_diagnostics
from sewdsl.diagnostics import SewdslError
from sewdsl.user_error import UserError


def name_and_input(spec: str) -> tuple[str, str | None]:
    """Return the name of a network and its input ``3xSIZExSIZE``, or None for that of the network."""
    name, _, size = spec.partition(":")
    return name, f"3x{size}x{size}" if size else None


@contextmanager
def printed_errors(specs: Iterable[str]) -> Iterator[None]:
    """Print errors of users as the command line does, and those of the networks before the first measurement.

    Raises:
        SystemExit: If a network has errors, or a benchmark rejects it.
    """
    try:
        for spec in specs:
            name, shape = name_and_input(spec)
            sewdsl.load(name, input=shape)
        yield
    except SewdslError as error:
        print_diagnostics(error.diagnostics)
        raise SystemExit(1) from None
    except UserError as error:
        raise SystemExit(f"error: {error}") from None
