"""``sewdsl export --check``: what a file gives, next to what the module gives, and whether that says anything."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import typer

from sewdsl.cli.probe import ProbeSamples, SampleCount, random_input, samples_of_run
from sewdsl.terminal import echo

if TYPE_CHECKING:
    from sewdsl.exchange.write.formats import ExportFormat
    from sewdsl.lower import SpikingNetwork

SAMPLES = 4
"""How many test samples are shown."""
NOISE = 2
"""How many samples of random input are shown."""
MAX_NAMES = 3
"""Layers that a message names."""


class Origin(NamedTuple):
    """Where the weights of an exported network come from.

    Attributes:
        run: The folder of a run; None: of none.
        file: A file of weights; None: of none.
    """

    run: Path | None = None
    file: Path | None = None


def compare(  # noqa: PLR0913 -- what is compared, and what is shown
    model: SpikingNetwork, format_: ExportFormat, written: bytes, origin: Origin, data: Path | None, seed: int
) -> None:
    """Runs what was written next to the module, and says how far their outputs are apart, and on what.

    Args:
        model: In evaluation.
        format_: Of the file.
        written: The file.
        origin: Where the weights come from: a run has test samples.
        data: Where the data of the run lies; None: where it says.
        seed: Of random input, and of which test samples are shown.

    Raises:
        typer.Exit: the output does not depend on what is shown, so that the comparison shows nothing.
        RunError, DataError: the data was named, and is missing or damaged.
    """
    import torch  # noqa: PLC0415 -- torch takes seconds

    from sewdsl.train.watch.firing_rates import FiringRates  # noqa: PLC0415 -- as above

    shown = _shown(model, origin, data, seed)
    x = next(iter(shown.batches))[0]
    fired = FiringRates()
    with torch.no_grad():
        ours = model(x, return_sequence=format_.sequence)
        theirs = format_.run(written, x, *(() if format_.holds_weights else (model.state_dict(),)))
        blank = model(torch.zeros_like(x), return_sequence=format_.sequence)
        with fired.watch(model):
            model(x)
    silent = [name for name, rate in fired.rates.items() if not rate]
    if torch.equal(ours, blank):
        message = f"the comparison shows nothing: the output is the same for {shown} as for an input of zeros"
        lines = [message, *_layers(silent, len(fired.rates)), _advice(shown, origin)]
        echo("error: " + "\n  ".join(lines), err=True)
        raise typer.Exit(1)
    what = "outputs of all time-steps" if format_.sequence else "outputs"
    difference = f"{what} differ by {(ours - theirs).abs().max().item():.1e} at most, of {ours.abs().max().item():.3g}"
    echo("\n  ".join([difference, f"for {shown}", *_layers(silent, len(fired.rates))]))


def _shown(model: SpikingNetwork, origin: Origin, data: Path | None, seed: int) -> ProbeSamples:
    """Test samples of the run where they can be had, else random input."""
    from sewdsl.train.data.dataset import DataError  # noqa: PLC0415 -- not before it is needed

    if origin.run is not None:
        try:
            return samples_of_run(origin.run, data, SampleCount(SAMPLES, 1, seed))
        except DataError as error:
            if data is not None:
                raise
            lines = [f"note: random input is shown, since the test samples of the run are missing: {error}"]
            echo("\n  ".join([*lines, "--data DIR says where they lie"]), err=True)
    return random_input(model.network, SampleCount(NOISE, 1, seed))


def _layers(silent: list[str], count: int) -> list[str]:
    """How many layers of neurons have fired, and which have not; nothing of a network without spikes."""
    if not count:
        return []
    if not silent:
        return [f"all {count} layers of neurons fired" if count > 1 else "its layer of neurons fired"]
    names = ", ".join(silent[:MAX_NAMES]) + (f" and {len(silent) - MAX_NAMES} more" if len(silent) > MAX_NAMES else "")
    return [f"{count - len(silent)} of {count} layers of neurons fired; not tested, since they were silent: {names}"]


def _advice(shown: ProbeSamples, origin: Origin) -> str:
    """How a comparison comes to show something."""
    if origin.run is not None:
        data = "--data DIR says where the test samples of the run lie" if shown.data is None else ""
        return data or f"'sewdsl probe rates {origin.run}' says where its spikes end"
    if origin.file is not None:
        return "give the folder of the run that has learned them, which is checked on its test samples"
    return "initial weights pass few spikes on: give the folder of a run, or --weights FILE"
