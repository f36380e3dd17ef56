"""Lightning's loggers of a run, isolated so that their failures do not end the run.

A logger that cannot be opened is an error before the training starts. A logger that fails later, e.g. on a full disk or
without its server, is disabled after one warning. All metrics are in ``metrics.csv`` in any case.
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
from sewdsl.plugins import missing_package
from sewdsl.terminal import echo
from sewdsl.train.fit.classifier import Classifier
from sewdsl.train.fit.processes import rank
from sewdsl.train.store.run_folder import RunError, RunFolder
from sewdsl.train.store.run_notes import LOGGERS, LoggerName, LoggerRecord, read_loggers, record_loggers

PROJECT = "sewdsl"
"""Default W&B project. The environment variable WANDB_PROJECT takes precedence."""
OFFLINE = ("offline", "dryrun", "disabled")
"""Values of WANDB_MODE without a connection."""
PATIENCE = 30.0
"""Maximum time for the response of a server at the start and for the last upload, in seconds."""
CALLED = ("log_metrics", "log_hyperparams", "log_graph", "save", "after_save_checkpoint", "finalize")
"""Methods of a logger that Lightning calls."""


def check_loggers(names: Sequence[LoggerName]) -> None:
    """Check that loggers can be used, before any files are created.

    Raises:
        RunError: If a package is missing, or W&B has neither a key nor an offline mode.
    """
    for name in names:
        if name not in LOGGERS:
            raise RunError(f"unknown logger '{name}'; known loggers: {', '.join(LOGGERS)}")
        if name != "tensorboard" and find_spec(name) is None:
            raise RunError(missing_package(f"--logger {name}", "mlflow-skinny" if name == "mlflow" else name))
    if "wandb" in names and os.environ.get("WANDB_MODE") not in OFFLINE and not _has_wandb_key():
        raise RunError(
            "--logger wandb requires an API key; run 'wandb login', set WANDB_API_KEY, or set WANDB_MODE=offline to "
            "log to the run folder (upload with 'wandb sync')"
        )


def _has_wandb_key() -> bool:
    """Return whether wandb will find a key to log in with."""
    if any(os.environ.get(name) for name in ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE")):
        return True
    host = urlsplit(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname or ""
    files = [os.environ.get("NETRC"), "~/.netrc", "~/_netrc"]
    for file in filter(None, files):
        with suppress(OSError, netrc.NetrcParseError):
            if netrc.netrc(str(Path(file).expanduser())).authenticators(host):
                return True
    return False


@contextmanager
def open_loggers(
    module: Classifier, folder: RunFolder, requested: Sequence[LoggerName] | None
) -> Iterator[list[Logger]]:
    """Open the loggers of a training, and close them at the end.

    Only the first process logs. A resumed run continues in the same service runs and files.

    Args:
        module: Trained module. Its recipe, source and size are logged first.
        requested: Loggers to open, or None for those of the run so far, or the default.

    Raises:
        RunError: If a logger cannot be opened.
    """
    # A run that starts anew ignores the loggers of an earlier attempt.
    recorded = LoggerRecord() if requested is not None and not folder.state.exists() else read_loggers(folder)
    names = list(recorded.loggers if requested is None else dict.fromkeys(requested))
    check_loggers(names)
    is_resumed, ids = folder.state.exists(), dict(recorded.ids)
    title = folder.path.resolve().name
    if title.startswith("seed-"):
        title = f"{folder.path.resolve().parent.name}/{title}"  # The seeds of repeated runs share a parent folder.
    openers: dict[LoggerName, Callable[[], Logger]] = {
        "tensorboard": lambda: TensorBoardLogger(folder.path, "", "tensorboard", default_hp_metric=False),
        "wandb": lambda: _wandb_logger(folder, title, ids.setdefault("wandb", uuid.uuid4().hex[:8])),
        "mlflow": lambda: _mlflow_logger(folder, module.model.network.name, title, ids.get("mlflow")),
    }
    opened: list[Logger] = []
    if rank() == 0:
        record_loggers(folder, names, ids)  # Before opening: a failed start is repeated with the same loggers.
    try:
        for name in names:
            try:
                logger = openers[name]()
                opened.append(logger)
                if rank() == 0:
                    _ = logger.experiment  # type: ignore[attr-defined]
                    if isinstance(logger, MLFlowLogger):
                        ids["mlflow"] = str(logger.run_id)
                    _log_settings(logger, module, is_resumed=is_resumed)
            except (Exception, SystemExit) as error:  # noqa: BLE001 -- services can raise anything
                raise RunError(f"cannot open the {name} logger: {_first_line(error)}") from None
            _isolate_failures(name, logger)
            if rank() == 0:
                _print_location(logger, folder)
        if rank() == 0:
            record_loggers(folder, names, ids)
        yield opened
    finally:
        if rank() == 0:
            _close(opened)


def _wandb_logger(folder: RunFolder, title: str, run: str) -> Logger:
    """Open a W&B run without prompts, long waits, and uploads of code or output."""
    import wandb  # Optional, and importing takes seconds.

    options: dict[str, Any] = {"init_timeout": PATIENCE, "console": "off", "disable_git": True, "disable_code": True}
    if "finish_timeout" in getattr(wandb.Settings, "model_fields", ()):
        options["finish_timeout"] = PATIENCE
    logger = WandbLogger(
        name=os.environ.get("WANDB_NAME") or title,
        save_dir=folder.path,
        project=os.environ.get("WANDB_PROJECT") or PROJECT,
        id=run,
        force=True,  # If the login fails, raise an error instead of a prompt.
        settings=wandb.Settings(silent=True, **options),
    )
    logger._wandb_init.pop("anonymous", None)  # noqa: SLF001 -- newer versions print a warning about any value
    return logger


def _mlflow_logger(folder: RunFolder, network: str, title: str, run: str | None) -> Logger:
    """Open an MLflow run, on the server of MLFLOW_TRACKING_URI or in files in the run folder."""
    uri = server = os.environ.get("MLFLOW_TRACKING_URI") or None
    if uri is None:
        # Newer versions require an opt-in for files, but a run folder cannot contain a database server.
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
        uri = (folder.path.absolute() / "mlflow").as_uri()
    # Lightning prints a warning when it creates a missing experiment.
    logging.getLogger("lightning.pytorch.loggers.mlflow").setLevel(logging.ERROR)
    # MLflow's defaults retry for minutes.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    logger = MLFlowLogger(
        os.environ.get("MLFLOW_EXPERIMENT_NAME") or network, run_name=title, tracking_uri=uri, run_id=run
    )
    if rank() == 0:
        if run is None:
            _ = logger.experiment
        else:
            logger.experiment.update_run(run, status="RUNNING")
    if server is None:
        # MLflow sets the variable, which would redirect the next run of this process to this folder.
        os.environ.pop("MLFLOW_TRACKING_URI", None)
    return logger


def _log_settings(logger: Logger, module: Classifier, *, is_resumed: bool) -> None:
    """Log the recipe, the source and the number of parameters."""
    recipe = {key: str(value) if isinstance(value, Kind | tuple) else value for key, value in module.recipe}
    network = module.model.network
    settings = {"network": network.name, "parameters": network.total_parameters, **recipe}
    if isinstance(logger, TensorBoardLogger):
        if not is_resumed:
            from torch.utils.tensorboard.summary import hparams

            logger.hparams.update(settings)  # Lightning writes them to hparams.yaml.
            values = {key: value for key, value in settings.items() if value is not None}
            for part in hparams(values, {module.monitor: 0.0}):  # type: ignore[no-untyped-call]
                logger.experiment._get_file_writer().add_summary(part)  # noqa: SLF001 -- add_hparams adds a second run
            logger.experiment.add_text("spec.net", "    " + module.spec.replace("\n", "\n    "))
    elif isinstance(logger, MLFlowLogger):
        if not is_resumed:  # MLflow keeps parameters, and rejects other values.
            logger.log_hyperparams(settings)
            logger.experiment.log_text(logger.run_id, module.spec, "spec.net")
    else:
        logger.log_hyperparams({**settings, "spec": module.spec})


def _isolate_failures(name: str, logger: Logger) -> None:
    """Disable a logger after its first failure, with a warning. Callbacks can still use the object."""
    failed: list[BaseException] = []

    def guard(call: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(call)
        def guarded(*args: Any, **options: Any) -> Any:
            if failed:
                return None
            try:
                return call(*args, **options)
            except Exception as error:  # noqa: BLE001 -- services can raise anything
                failed.append(error)
                echo(
                    f"warning: {name} failed and is disabled: {_first_line(error)}; all metrics are in metrics.csv",
                    err=True,
                )
                return None

        return guarded

    for call in CALLED:
        setattr(logger, call, guard(getattr(logger, call)))


def _print_location(logger: Logger, folder: RunFolder) -> None:
    """Print where a service stores the metrics, unless it is in the run folder as usual."""
    if isinstance(logger, WandbLogger):
        run: Any = logger.experiment
        offline = getattr(getattr(run, "settings", None), "_offline", False) or not getattr(run, "url", None)
        echo(f"wandb: offline, in {folder.path / 'wandb'}" if offline else f"wandb: {run.url}", err=True)
    elif isinstance(logger, MLFlowLogger):
        location = os.environ.get("MLFLOW_TRACKING_URI") or folder.path / "mlflow"
        echo(f"mlflow: run {logger.run_id} in {location}", err=True)


def _close(loggers: Sequence[Logger]) -> None:
    """Close the runs of services, because the next run of this process opens its own."""
    for logger in loggers:
        with suppress(Exception):  # The failure was reported before, or the logger was never opened.
            if isinstance(logger, WandbLogger):
                logger.experiment.finish()
            elif isinstance(logger, TensorBoardLogger):
                logger.experiment.close()


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), "") or type(error).__name__
