"""Where the figures of a training go in addition to its folder: Lightning's loggers, none of which can end it.

What cannot be opened is an error before anything is trained. A logger that fails later, on a full disk or since its
server is away, is warned of once and asked no more: every figure is in ``metrics.csv`` of the run in any case.
"""

from __future__ import annotations

import logging
import netrc
import os
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import wraps
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from lightning.pytorch.loggers import Logger, MLFlowLogger, TensorBoardLogger, WandbLogger

from sewdsl.ir.kind import Kind
from sewdsl.terminal import echo
from sewdsl.train.fit.classifier import Classifier
from sewdsl.train.fit.processes import rank
from sewdsl.train.store.run_folder import RunError, RunFolder
from sewdsl.train.store.run_notes import LoggerName, LoggerRecord, read_loggers, remember_loggers

PROJECT = "sewdsl"
"""Where runs are listed by W&B, unless WANDB_PROJECT says otherwise."""
OFFLINE = ("offline", "dryrun", "disabled")
"""Values of WANDB_MODE with which nothing is sent."""
PATIENCE = 30.0
"""Seconds that a server may take to answer at the start, or for the last figures at the end."""
CALLED = ("log_metrics", "log_hyperparams", "log_graph", "save", "after_save_checkpoint", "finalize")
"""What Lightning asks a logger to do."""


def check_loggers(names: Sequence[LoggerName]) -> None:
    """Check that figures can be logged there, before anything is made.

    Raises:
        RunError: If a package is missing, or W&B has no key, and WANDB_MODE does not keep it offline.
    """
    for name, package in (("wandb", "wandb"), ("mlflow", "mlflow")):
        if name in names and find_spec(package) is None:
            raise RunError(f"--logger {name} needs a package that is not installed: pip install 'sewdsl[{name}]'")
    if "wandb" in names and os.environ.get("WANDB_MODE") not in OFFLINE and not _has_wandb_key():
        raise RunError(
            "--logger wandb has no key, and asks for none: 'wandb login' or WANDB_API_KEY gives one, "
            "WANDB_MODE=offline keeps the figures in the run's folder, from where 'wandb sync' can send them later"
        )


def _has_wandb_key() -> bool:
    """Return whether there is a key to log in with, in the places where wandb looks."""
    if any(os.environ.get(name) for name in ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE")):
        return True
    host = urlsplit(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname or ""
    places = [os.environ.get("NETRC"), "~/.netrc", "~/_netrc"]
    for place in filter(None, places):
        with suppress(OSError, netrc.NetrcParseError):
            if netrc.netrc(str(Path(place).expanduser())).authenticators(host):
                return True
    return False


@contextmanager
def open_loggers(module: Classifier, folder: RunFolder, asked: Sequence[LoggerName] | None) -> Iterator[list[Logger]]:
    """Open loggers for a training; after it, they are closed, whatever became of it.

    The first process alone logs. A run that goes on, goes on in the same runs of services and the same files.

    Args:
        module: What is trained; its recipe, its text and its size are logged first.
        asked: Which loggers; None: those of before, or as usual.

    Raises:
        RunError: If one cannot be opened.
    """
    noted = LoggerRecord() if asked is not None and not folder.state.exists() else read_loggers(folder)
    names = list(noted.loggers if asked is None else dict.fromkeys(asked))
    check_loggers(names)
    goes_on, ids = folder.state.exists(), dict(noted.ids)
    title = folder.path.resolve().name
    if title.startswith("seed-"):
        title = f"{folder.path.resolve().parent.name}/{title}"  # of several runs, which have no name of their own
    openers: dict[LoggerName, Callable[[], Logger]] = {
        "tensorboard": lambda: TensorBoardLogger(folder.path, "", "tensorboard", default_hp_metric=False),
        "wandb": lambda: _wandb_logger(folder, title, ids.setdefault("wandb", uuid.uuid4().hex[:8])),
        "mlflow": lambda: _mlflow_logger(folder, module.model.network.name, title, ids.get("mlflow")),
    }
    opened: list[Logger] = []
    if rank() == 0:
        remember_loggers(folder, names, ids)  # also if one cannot be opened: the run begins again with the same
    try:
        for name in names:
            try:
                logger = openers[name]()
                opened.append(logger)
                if rank() == 0:
                    _ = logger.experiment  # type: ignore[attr-defined]
                    if isinstance(logger, MLFlowLogger):
                        ids["mlflow"] = str(logger.run_id)
                    _log_settings(logger, module, goes_on=goes_on)
            except (Exception, SystemExit) as error:  # noqa: BLE001 -- whatever services raise
                raise RunError(f"cannot log to {name}: {_sentence(error)}") from None
            _keep_from_ending_the_run(name, logger)
            if rank() == 0:
                _say_where(logger, folder)
        if rank() == 0:
            remember_loggers(folder, names, ids)
        yield opened
    finally:
        if rank() == 0:
            _close(opened)


def _wandb_logger(folder: RunFolder, title: str, run: str) -> Logger:
    """Open a run of W&B; it asks nothing, waits for no server longer than it must, and sends no code or output."""
    import wandb  # it takes seconds, and may not be installed

    options: dict[str, Any] = {"init_timeout": PATIENCE, "console": "off", "disable_git": True, "disable_code": True}
    if "finish_timeout" in getattr(wandb.Settings, "model_fields", ()):
        options["finish_timeout"] = PATIENCE
    logger = WandbLogger(
        name=os.environ.get("WANDB_NAME") or title,
        save_dir=folder.path,
        project=os.environ.get("WANDB_PROJECT") or PROJECT,
        id=run,
        force=True,  # an error, not a question, where it cannot log in
        settings=wandb.Settings(silent=True, **options),
    )
    logger._wandb_init.pop("anonymous", None)  # noqa: SLF001 -- newer versions warn of it, whatever it says
    return logger


def _mlflow_logger(folder: RunFolder, network: str, title: str, run: str | None) -> Logger:
    """Open a run of MLflow: on the server of MLFLOW_TRACKING_URI, or in files in the folder."""
    place = given = os.environ.get("MLFLOW_TRACKING_URI") or None
    if place is None:
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # a folder of files is what a run folder can hold
        place = (folder.path.absolute() / "mlflow").as_uri()
    logging.getLogger("lightning.pytorch.loggers.mlflow").setLevel(logging.ERROR)  # that it makes what is not there
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")  # by default it tries for minutes
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    logger = MLFlowLogger(
        os.environ.get("MLFLOW_EXPERIMENT_NAME") or network, run_name=title, tracking_uri=place, run_id=run
    )
    if rank() == 0:
        if run is None:
            _ = logger.experiment
        else:
            logger.experiment.update_run(run, status="RUNNING")
    if given is None:
        os.environ.pop("MLFLOW_TRACKING_URI", None)  # which MLflow sets: it would be that of this process's next run
    return logger


def _log_settings(logger: Logger, module: Classifier, *, goes_on: bool) -> None:
    """Log what is trained, and how: the recipe, the network's text, its parameters."""
    recipe = {key: str(value) if isinstance(value, Kind | tuple) else value for key, value in module.recipe}
    network = module.model.network
    settings = {"network": network.name, "parameters": network.total_parameters, **recipe}
    if isinstance(logger, TensorBoardLogger):
        if not goes_on:
            from torch.utils.tensorboard.summary import hparams

            logger.hparams.update(settings)  # which Lightning writes into hparams.yaml
            known = {key: value for key, value in settings.items() if value is not None}
            for part in hparams(known, {module.monitor: 0.0}):  # type: ignore[no-untyped-call]
                logger.experiment._get_file_writer().add_summary(part)  # noqa: SLF001 -- add_hparams makes a run more
            logger.experiment.add_text("spec.net", "    " + module.spec.replace("\n", "\n    "))
    elif isinstance(logger, MLFlowLogger):
        if not goes_on:  # what is set once stays in MLflow
            logger.log_hyperparams(settings)
            logger.experiment.log_text(logger.run_id, module.spec, "spec.net")
    else:
        logger.log_hyperparams({**settings, "spec": module.spec})


def _keep_from_ending_the_run(name: str, logger: Logger) -> None:
    """Let a logger that fails be warned of, and asked no more; the object stays what it is to callbacks."""
    failed: list[BaseException] = []

    def guarded(call: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(call)
        def tried(*args: Any, **options: Any) -> Any:
            if failed:
                return None
            try:
                return call(*args, **options)
            except Exception as error:  # noqa: BLE001 -- whatever services raise
                failed.append(error)
                echo(
                    f"warning: {name} fails, and gets no more figures: {_sentence(error)}; all are in metrics.csv",
                    err=True,
                )
                return None

        return tried

    for call in CALLED:
        setattr(logger, call, guarded(getattr(logger, call)))


def _say_where(logger: Logger, folder: RunFolder) -> None:
    """Say where a service keeps the figures; of files in the run's own folder that is known."""
    if isinstance(logger, WandbLogger):
        run: Any = logger.experiment
        offline = getattr(getattr(run, "settings", None), "_offline", False) or not getattr(run, "url", None)
        echo(f"wandb: offline, in {folder.path / 'wandb'}" if offline else f"wandb: {run.url}", err=True)
    elif isinstance(logger, MLFlowLogger):
        place = os.environ.get("MLFLOW_TRACKING_URI") or folder.path / "mlflow"
        echo(f"mlflow: run {logger.run_id} in {place}", err=True)


def _close(loggers: Sequence[Logger]) -> None:
    """End what a logger has begun: the next run of this process begins its own."""
    for logger in loggers:
        with suppress(Exception):  # it was warned of, or there is nothing to end
            if isinstance(logger, WandbLogger):
                logger.experiment.finish()
            elif isinstance(logger, TensorBoardLogger):
                logger.experiment.close()


def _sentence(error: BaseException) -> str:
    """Return the first line of what an error says."""
    return next(iter(str(error).strip().splitlines()), "") or type(error).__name__
