"""Page of the shipped networks as C files: their memory, or the reason why a layer has no law in integers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from docs.site.read_shipped import read_shipped
from docs.site.tables import table
from sewdsl.compiler import shipped_networks

PAGE = """\
<!-- made by python -m docs.site.pages, and rows of large networks by python -m docs.site.c_networks -->

# Networks as C files

Memory of each shipped network as a [C file](c.md), in bytes, with initial weights. *Weights* are the integers with
8 bits. *RAM* is the size of a state with potentials of 32 bits, with potentials of 16 bits (`--state 16`), and with
16 bits and spikes as bits (`--state 16 --pack`). *Rounded currents* is the number of layers that read currents, which
are rounded first. Networks with `ReLU`, such as `resnet-18`, require `--calibrate`.

"""
REFUSED = """\

## Networks without a C file

`sewdsl export` rejects these networks, because a layer cannot be computed in integers:

"""
SMALL = 250_000
"""Parameters of the largest network whose row is computed each time. All rows take minutes."""


def c_networks(*, whole: bool = False) -> str:
    """Return the page.

    Args:
        whole: Whether to compute the rows of large networks too. Otherwise, they are those of the present page.
    """
    path = Path(__file__).parents[1] / "c-networks.md"
    present = {row[0]: row for row in read_rows(path.read_text(encoding="utf-8"))} if path.exists() else {}
    rows = []
    for name in shipped_networks():
        network = read_shipped(name).network
        if network is not None:
            is_kept = not whole and network.total_parameters > SMALL and f"`{name}`" in present
            rows.append(present[f"`{name}`"] if is_kept else c_row(name))
    heads = ("network", "weights", "RAM, 32 bits", "RAM, 16 bits", "packed", "rounded currents")
    exported = table(heads, _of_length(rows, len(heads)))
    refused = table(("network", "layer", "reason"), _of_length(rows, 3))
    return f"{PAGE}{exported}{REFUSED}{refused}"


def read_rows(page: str) -> Iterator[tuple[str, ...]]:
    """Yield the rows of networks of a page."""
    for line in page.splitlines():
        if line.startswith("| `"):
            yield tuple(cell.strip() for cell in line.strip("|").split(" | "))


def c_row(name: str) -> tuple[str, ...]:
    """Return the row of a network: six cells with its memory, or three with the reason of its refusal."""
    # torch takes seconds to import.
    import sewdsl  # noqa: PLC0415
    from sewdsl.integers.build import IntegerFormat, NoIntegerLaw, build_integer_network  # noqa: PLC0415
    from sewdsl.integers.steps.weighted import Convolution  # noqa: PLC0415
    from sewdsl.train.fit.integer_run import input_scaling  # noqa: PLC0415

    model = sewdsl.compile(name, seed=0).eval()
    scaling = input_scaling(model)
    try:
        network = build_integer_network(model, scaling, ranges={})
        narrow = build_integer_network(model, scaling, IntegerFormat(state_bits=16), {})
    except NoIntegerLaw as refusal:
        return f"`{name}`", f"`{refusal.node}`" if refusal.node else "–", refusal.reason
    weights = sum(step.weights.size for step in network.steps if isinstance(step, Convolution))
    sizes = (f"{each.state_size:,}" for each in (network, narrow, replace(narrow, packed=True)))
    return f"`{name}`", f"{weights:,}", *sizes, str(len(network.notes) or "–")


def _of_length(rows: Iterable[tuple[str, ...]], cells: int) -> list[tuple[str, ...]]:
    return [row for row in rows if len(row) == cells]


if __name__ == "__main__":
    (Path(__file__).parents[1] / "c-networks.md").write_text(c_networks(whole=True), encoding="utf-8")
