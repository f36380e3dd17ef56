"""Training of a study on a Ray cluster, with one run per worker or per GPU.

The nodes need no shared disk. A task receives the files of its run from the study folder, trains in a process on its
node, and sends the files back, also during the training. If a worker or its node dies, another worker resumes from the
last files.
"""

from __future__ import annotations

import io
import signal
import sys
import tarfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from sewdsl.plugins import installed_version, missing_package, plugin_files
from sewdsl.train.store.run_folder import RUN_FILES, RunError, RunFolder, RunInterrupted, write_run_file
from sewdsl.train.study.pool import PATIENCE, Ending, StudyPool, StudyRun
from sewdsl.train.study.worker import Job, RunMessage, WorkerProcess

if TYPE_CHECKING:
    import asyncio

TRIES = 3
"""Maximum number of workers for a run in one call. After that, the run counts as died."""
HEAD = {"node:__internal_head__": 0.001}
"""Resource of Ray's head node, which exists as long as the cluster."""
START_PATIENCE = 180
"""Time limit for the start of a cluster in seconds. Ray retries forever if the head node fails while it starts."""


@contextmanager
def _patient(address: str) -> Iterator[None]:
    """Limit the time to start a cluster on systems with alarm signals, or raise RunError if it is exceeded."""
    if sys.platform == "win32" or threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(*_: object) -> None:
        raise RunError(f"no response from the Ray cluster at {address} within {START_PATIENCE} s; check 'ray status'")

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(START_PATIENCE)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def pack_run(folder: RunFolder) -> bytes:
    """Return the files of a run as a tar archive."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in RUN_FILES:
            if (folder.path / name).exists():
                archive.add(folder.path / name, arcname=name)
    return buffer.getvalue()


def unpack_run(data: bytes, folder: RunFolder) -> None:
    """Write the files of a run atomically, the result last, because it marks the run as finished.

    Raises:
        RunError: If a file cannot be written, or the archive contains other files.
    """
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        files = [entry for entry in archive.getmembers() if entry.isfile()]
        for entry in sorted(files, key=lambda entry: entry.name == folder.result.name):
            parts = Path(entry.name).parts
            content = archive.extractfile(entry)
            # Do not trust the paths: a worker must not write outside of the run folder.
            if content is None or ".." in parts or parts[0] not in RUN_FILES:
                raise RunError(f"a worker sent '{entry.name}', which is not a file of a run")
            write_run_file(folder.path / entry.name, content.read())


class Mailbox:
    """Actor on the head node that passes messages of workers to the study, and answers back."""

    def __init__(self) -> None:
        import asyncio  # The actor runs in another process, which imports only what it needs.

        self._sent: asyncio.Queue[tuple[str, str, Any]] = asyncio.Queue()
        self._answers: dict[str, asyncio.Queue[bool]] = {}

    async def post(self, key: str, kind: str, content: Any) -> None:
        """Receive a message of a worker: a line, the files of a run, or the epochs of a question."""
        await self._sent.put((key, kind, content))

    async def take(self) -> tuple[str, str, Any]:
        """Return the next message."""
        return await self._sent.get()

    async def answer(self, key: str, proceed: bool) -> None:  # noqa: FBT001 -- Ray hands it on
        """Answer the question of a worker."""
        await self._of(key).put(proceed)

    async def ask(self, key: str, epochs: dict[int, float]) -> bool:
        """Ask the study whether a run may continue, and wait for the answer."""
        await self._sent.put((key, "epochs", epochs))
        return await self._of(key).get()

    def _of(self, key: str) -> asyncio.Queue[bool]:
        import asyncio

        return self._answers.setdefault(key, asyncio.Queue())


def train_on_node(
    job: Job, key: str, begun: bytes, plugins: list[tuple[str, bytes]], mailbox: Any, version: str | None
) -> tuple[RunMessage | None, str, bytes]:
    """Train a run in a process on the worker's node.

    Args:
        job: Job of the run. Its folder is replaced by one on the node.
        key: Key of the run and the attempt, for messages.
        begun: Files of the run so far, as a tar archive (empty for a new run).
        plugins: Names and contents of plugin files.
        version: Version of sewdsl that started the study.

    Returns:
        Last message of the process, description of its end, and files of the run.
    """
    import ray

    if installed_version("sewdsl") != version:
        text = (
            f"a worker has sewdsl {installed_version('sewdsl')}, expected {version}; "
            "install the same version on all nodes"
        )
        return RunMessage(kind="failed", text=text), "", b""
    with TemporaryDirectory(prefix="sewdsl-") as temporary:
        folder = RunFolder(Path(temporary) / "run")
        if begun:
            unpack_run(begun, folder)

        def show(line: str) -> None:
            mailbox.post.remote(key, "line", line)

        plugin_paths = []
        for index, (name, content) in enumerate(plugins):
            file = Path(temporary) / f"plugin{index}" / name
            file.parent.mkdir()
            file.write_bytes(content)
            plugin_paths.append(str(file))
        child = WorkerProcess(job.model_copy(update={"folder": str(folder.path), "plugins": tuple(plugin_paths)}), show)
        last, sent = None, time.monotonic()
        try:
            for last in child.messages():
                if last.kind != "epochs":
                    continue
                if time.monotonic() - sent >= 60 * job.save_every:
                    ray.get(mailbox.post.remote(key, "files", pack_run(folder)))
                    sent = time.monotonic()
                child.answer(proceed=ray.get(mailbox.ask.remote(key, dict(last.epochs))))
        finally:
            if child.running:
                child.kill()
        return last, child.death, pack_run(folder)


class RayPool(StudyPool):
    """Trains runs on a Ray cluster, as many in parallel as it has room for.

    Args:
        address: ``ray`` for the cluster of this machine or of the variable ``RAY_ADDRESS``, or a new one on this
            machine. ``ray://HOST:PORT`` for a remote cluster.
        like: See :class:`StudyPool`. A job takes one core per thread, and one GPU if the cluster has any.
        jobs: Maximum number of parallel runs, or None for no limit.

    Raises:
        RunError: If Ray is not installed, or the cluster is not available.
    """

    def __init__(self, address: str, like: Job, jobs: int | None = None) -> None:
        try:
            ray: Any = import_module("ray")  # Optional, slow to import, and mostly untyped.
        except ImportError:
            raise RunError(missing_package("--on ray", "ray")) from None
        super().__init__(like)  # Before Ray installs its own signal handlers.
        self._ray, self._max_jobs = ray, jobs
        # A connection of the caller must not be shut down.
        self._began = not ray.is_initialized()
        if self._began:
            try:
                with _patient(address):
                    ray.init(
                        address=None if address == "ray" else address,
                        # Ray puts the driver's current folder first on the workers' search path, except for clients.
                        job_config=ray.job_config.JobConfig(_client_job=True),
                        log_to_driver=False,
                        logging_level="ERROR",
                        include_dashboard=False if address == "ray" else None,
                    )
            except (ConnectionError, ValueError, RuntimeError, ImportError) as error:
                token = "; the cluster may require a token (see RAY_AUTH_MODE)" if address != "ray" else ""
                message = f"cannot connect to a Ray cluster at {address}: {str(error).partition(chr(10))[0]}{token}"
                raise RunError(message) from None
        self._gpus = like.device != "cpu" and ray.cluster_resources().get("GPU", 0) > 0
        if like.device == "cuda" and not self._gpus:
            raise RunError("the cluster has no GPU; use --device cpu")
        self._mailbox: Any = ray.remote(Mailbox).options(num_cpus=0, resources=HEAD).remote()
        self._mail: Any = self._mailbox.take.remote()
        self._tasks: dict[Any, tuple[StudyRun, int, str]] = {}

    @property
    def size(self) -> int:
        """Number of runs that the current nodes have room for, at least 1. A run without room waits."""
        resources = self._ray.cluster_resources()
        room = int(resources.get("GPU", 0)) if self._gpus else int(resources.get("CPU", 0)) // self._like.threads
        return max(1, min(room, self._max_jobs or room))

    def stop(self) -> None:
        """Cancel the remaining runs. Files that workers have sent are in the study folder."""
        for task in self._tasks:
            with suppress(Exception):  # The cluster may no longer exist.
                self._ray.cancel(task)
        with suppress(Exception):
            if self._tasks:
                self._ray.wait([*self._tasks], num_returns=len(self._tasks), timeout=10)
            self._ray.kill(self._mailbox)
        if self._began:
            self._ray.shutdown()

    def begin(self, run: StudyRun) -> None:
        self._submit(run, 1)

    def wait(self) -> Ending:
        """Wait for the end of the next run, and resubmit runs whose worker died."""
        while True:
            try:
                ready, _ = self._ray.wait([self._mail, *self._tasks], timeout=PATIENCE)
            except KeyboardInterrupt:
                raise RunInterrupted(2) from None
            if self._mail in ready:
                self._read_mail()
                continue
            for task in ready:
                ending = self._end(task)
                if ending is not None:
                    return ending

    def _submit(self, run: StudyRun, attempt: int) -> None:
        run.folder.path.mkdir(parents=True, exist_ok=True)
        # Late messages of an earlier attempt must not be taken for those of this one.
        key = f"{run.folder.path}#{attempt}"
        begun = pack_run(run.folder) if run.folder.spec.is_file() else b""
        remote = self._ray.remote(train_on_node).options(
            # Retries by Ray would start without the files of the run so far.
            num_cpus=self._like.threads,
            num_gpus=1 if self._gpus else 0,
            max_retries=0,
        )
        version = installed_version("sewdsl")
        plugins = [(file.path.name, file.content) for file in plugin_files()]
        task = remote.remote(self.job(run), key, begun, plugins, self._mailbox, version)
        self._tasks[task] = (run, attempt, key)

    def _read_mail(self) -> None:
        try:
            key, kind, content = self._ray.get(self._mail)
        except self._ray.exceptions.RayError as error:  # The mailbox is on the head node.
            message = f"lost the Ray cluster ({type(error).__name__}); run the same command again to resume"
            raise RunError(message) from None
        self._mail = self._mailbox.take.remote()
        run = next((run for run, _, task_key in self._tasks.values() if task_key == key), None)
        if run is None:
            return  # The message is from an earlier attempt.
        if kind == "line":
            self.show(run, content)
        elif kind == "files":
            unpack_run(content, run.folder)
        else:
            self._mailbox.answer.remote(key, run.may_continue(content))

    def _end(self, task: Any) -> Ending | None:
        """Return how a run ended, or None if it was resubmitted."""
        run, attempt, _ = self._tasks.pop(task)
        try:
            last, death, files = self._ray.get(task)
        # An error of the task itself would occur on every worker.
        except self._ray.exceptions.RayTaskError as error:
            raise RunError(f"{run.title}: {str(error.cause).partition(chr(10))[0]}") from None
        except self._ray.exceptions.RayError as error:
            last, death, files = None, f"the worker died: {type(error).__name__}", b""
        if files:
            unpack_run(files, run.folder)
        if (last is None or last.kind == "epochs") and attempt < TRIES:
            self.show(run, f"{death}; another worker resumes the run")
            self._submit(run, attempt + 1)
            return None
        return self.ending(run, last, death)
