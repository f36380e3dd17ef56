"""Networks and runs in a notebook: shown in their cells, trained with a bar.

>>> from sewdsl import notebook  # doctest: +SKIP
>>> notebook.train("tiny.net")  # doctest: +SKIP
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from sewdsl.analysis.listing import block_rows
from sewdsl.compiler import Options, read
from sewdsl.draw import RenderingError, render
from sewdsl.draw import dot as as_dot
from sewdsl.draw.picture_items import drawn_layers, picture_items
from sewdsl.html_templates import render_html
from sewdsl.ir.network import Network

if TYPE_CHECKING:
    from lightning.pytorch import Callback

    from sewdsl.lower import SpikingNetwork
    from sewdsl.train.store.result import Result
    from sewdsl.train.store.run_folder import RunFolder
    from sewdsl.train.store.run_notes import LoggerName

ROWS, BOXES, NODES = 200, 200, 20_000
"""Lines of a table, layers of a picture, and nodes of a network that is drawn at all, at most."""


def network_html(network: Network) -> str:
    """Return a network as its picture and its table, side by side; as its table alone where nothing draws it.

    A page stays small: of a table there are :data:`ROWS` lines, and a picture of more than :data:`BOXES` layers is left
    out. What is left out is said.
    """
    boxes = None if len(network) > NODES else sum(1 for _ in drawn_layers(picture_items(network)))
    svg = ""
    if boxes is not None and boxes <= BOXES:
        with suppress(RenderingError):
            svg = b64encode(render(as_dot(network), "svg")).decode()
    rows = block_rows(network)
    return render_html(
        "notebook_network.html",
        network=network,
        boxes=boxes,
        svg=svg,
        rows=list(islice(rows, ROWS)),
        rows_left=sum(1 for _ in rows),
        BOXES=BOXES,
        NODES=NODES,
    )


class NotebookRun:
    """A run that has ended: its result, its curves, its network.

    Raises:
        RunError: it is no folder of a run that has ended.
    """

    def __init__(self, path: str | Path) -> None:
        from sewdsl.train.store.run_folder import RunFolder

        self._folder = RunFolder(Path(path).absolute())
        self.result: Result = self._folder.read_result()

    @property
    def path(self) -> Path:
        """The folder."""
        return self._folder.path

    def model(self, *, best: bool = False) -> SpikingNetwork:
        """Return the trained network, in evaluation mode: of the last epoch, or of the best one."""
        from sewdsl.train.fit.load_run import load_model

        return load_model(self._folder, best=best)

    def __repr__(self) -> str:
        result = self.result
        scores = f"{result.accuracy:.2%} in the last epoch, {result.best_accuracy:.2%} in the best"
        here = Path.cwd()
        where = self.path.relative_to(here) if self.path.is_relative_to(here) else self.path
        return f"{result.network} on {result.data}: {scores} of {result.epochs}, {result.seconds:g} s; {where}"

    def _repr_html_(self) -> str:
        curves = b64encode(self._folder.curves.read_bytes()).decode()
        return render_html("notebook_run.html", run=self, curves=curves)


def train(  # noqa: PLR0913 -- what the command has as options
    spec: str | Path,
    out: str | Path | None = None,
    *,
    overwrite: bool = False,
    data: str | Path | None = None,
    callbacks: Sequence[Callback] = (),
    loggers: Sequence[LoggerName] | None = None,
    **options: Unpack[Options],
) -> NotebookRun:
    """Train the network of a spec as its recipe says, with a bar; the same as ``sewdsl train``.

    Args:
        spec: A path, the name of a shipped network, or the text of one.
        out: A new folder for the run; None: the next free one below ``runs``.
        overwrite: Whether a run that is in the folder already is removed, so that a cell can be run again.
        data: The folder of the dataset, or of several.
        callbacks: Lightning's, called after sewdsl's own and those of plugin files.
        loggers: Of ``tensorboard``, ``wandb`` and ``mlflow``; None: TensorBoard alone.
        **options: As for :func:`sewdsl.load`: ``set={"train.epochs": "3"}``.

    Raises:
        SewdslError: the spec has errors, or no recipe.
        RunError: the folder cannot be used, or the run cannot go on.
        DataError: the data is missing or damaged.
    """
    compilation = read(spec, **options)
    name = compilation.result().name
    from sewdsl.train.fit import train_run
    from sewdsl.train.fit.callbacks import EpochLines, plugin_callbacks
    from sewdsl.train.fit.lightning_loop import RunOptions
    from sewdsl.train.fit.loggers import check_loggers
    from sewdsl.train.store.run_folder import make_numbered
    from sewdsl.train.training_plan import plan_training

    planned = plan_training(compilation, Path(data) if data else None)
    planned.data.find()
    check_loggers(loggers or ())
    folder = make_numbered(name) if out is None else _folder(Path(out), overwrite=overwrite)
    bar = _bar()
    shown = (EpochLines(),) if bar is None else (bar, EpochLines())
    way = RunOptions(shown, callbacks=lambda: [*plugin_callbacks(), *callbacks], loggers=loggers)
    train_run.start_run(compilation, planned, folder, way)
    return NotebookRun(folder.path)


def _folder(path: Path, *, overwrite: bool) -> RunFolder:
    """Return a folder for a run, in which there is none, or none any more.

    Raises:
        RunError: it holds a run that is to stay, or something else than a run, or it cannot be made.
    """
    from sewdsl.train.store.run_folder import RunError, RunFolder, clear_and_lock, make_run_folder

    if not RunFolder(path).spec.is_file():
        return make_run_folder(path)
    if not overwrite:
        message = f"'{path}' already holds a run; overwrite=True removes it, and without a folder there is a new one"
        raise RunError(message)
    return clear_and_lock(path)


def _bar() -> Callback | None:
    """Return a bar that fills as the batches go by; None outside a notebook."""
    try:
        from IPython import get_ipython  # there in notebooks alone
        from IPython.display import ProgressBar
    except ImportError:
        return None
    if get_ipython() is None:
        return None
    from lightning.pytorch import Callback

    class Bar(Callback):
        def on_train_start(self, trainer: Any, pl_module: Any) -> None:
            self._bar = ProgressBar(int(trainer.estimated_stepping_batches))
            self._bar.display()

        def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
            self._bar.progress = min(trainer.global_step, self._bar.total)

    return Bar()
