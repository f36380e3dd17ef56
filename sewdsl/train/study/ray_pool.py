"""The runs of a study on a cluster of Ray: one a worker, or one a GPU.

No disk need be shared. A task begins with what the study's folder holds of its run, trains in a process on its node,
and sends the files of the run back, in between too: when a worker or its node dies, another goes on from what came
last.
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

from sewdsl.plugins import installed_version, plugin_files
from sewdsl.train.store.run_folder import RUN_FILES, RunError, RunFolder, RunInterrupted, write_run_file
from sewdsl.train.study.pool import PATIENCE, Ending, StudyPool, StudyRun
from sewdsl.train.study.worker import Child, Job, RunMessage

if TYPE_CHECKING:
    import asyncio

TRIES = 3
"""Workers that may die under a run before it is left to the next call."""
HEAD = {"node:__internal_head__": 0.001}
"""Ray's name for the head node, which stays as long as the cluster."""
START_PATIENCE = 180
"""Seconds that a cluster has to answer: where its head node fails while it begins, Ray asks it again without end."""


@contextmanager
def _patient(address: str) -> Iterator[None]:
    """End what takes too long, where signals can.

    Raises:
        RunError: If it does.
    """
    if sys.platform == "win32" or threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(*_: object) -> None:
        message = f"the cluster of Ray at {address} has not answered for {START_PATIENCE} s; 'ray status' may say why"
        raise RunError(message)

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(START_PATIENCE)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def pack_run(folder: RunFolder) -> bytes:
    """Return the files of a run as one archive, empty where there are none."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in RUN_FILES:
            if (folder.path / name).exists():
                archive.add(folder.path / name, arcname=name)
    return buffer.getvalue()


def unpack_run(data: bytes, folder: RunFolder) -> None:
    """Write the files of a run, each at once; its result comes last, since with it a run has ended.

    Raises:
        RunError: If one cannot be written, or the archive holds something else than a run.
    """
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        files = [entry for entry in archive.getmembers() if entry.isfile()]
        for entry in sorted(files, key=lambda entry: entry.name == folder.result.name):
            parts = Path(entry.name).parts
            content = archive.extractfile(entry)
            if content is None or ".." in parts or parts[0] not in RUN_FILES:
                raise RunError(f"a worker sent '{entry.name}', which is no file of a run")
            write_run_file(folder.path / entry.name, content.read())


class Mailbox:
    """What workers send while they train, and what they are answered: an actor on the head node."""

    def __init__(self) -> None:
        import asyncio  # where the actor is

        self._sent: asyncio.Queue[tuple[str, str, Any]] = asyncio.Queue()
        self._answers: dict[str, asyncio.Queue[bool]] = {}

    async def post(self, key: str, kind: str, content: Any) -> None:
        """Take a line, the files of a run, or a question: its epochs."""
        await self._sent.put((key, kind, content))

    async def take(self) -> tuple[str, str, Any]:
        """Return the next of them."""
        return await self._sent.get()

    async def answer(self, key: str, go_on: bool) -> None:  # noqa: FBT001 -- Ray hands it on
        """Answer the question of a worker."""
        await self._of(key).put(go_on)

    async def ask(self, key: str, epochs: dict[int, float]) -> bool:
        """Ask whether a run is to go on, and wait for the answer."""
        await self._sent.put((key, "epochs", epochs))
        return await self._of(key).get()

    def _of(self, key: str) -> asyncio.Queue[bool]:
        import asyncio

        return self._answers.setdefault(key, asyncio.Queue())


def train_on_node(
    job: Job, key: str, begun: bytes, plugins: list[tuple[str, bytes]], mailbox: Any, version: str | None
) -> tuple[RunMessage | None, str, bytes]:
    """Train a run in a process of the worker's node; return how it ended, or how its process died, and its files.

    Args:
        job: What to train, in a folder of the node's own.
        begun: The files of the run so far.
        version: Version of sewdsl where the study was started.
    """
    import ray

    if installed_version("sewdsl") != version:
        text = f"a worker has sewdsl {installed_version('sewdsl')}, and this is {version}: install the same everywhere"
        return RunMessage(kind="failed", text=text), "", b""
    with TemporaryDirectory(prefix="sewdsl-") as where:
        folder = RunFolder(Path(where) / "run")
        if begun:
            unpack_run(begun, folder)

        def show(line: str) -> None:
            mailbox.post.remote(key, "line", line)

        own_code = []
        for number, (name, content) in enumerate(plugins):
            file = Path(where) / f"plugin{number}" / name
            file.parent.mkdir()
            file.write_bytes(content)
            own_code.append(str(file))
        child = Child(job.model_copy(update={"folder": str(folder.path), "plugins": tuple(own_code)}), show)
        last, sent = None, time.monotonic()
        try:
            for last in child.messages():
                if last.kind != "epochs":
                    continue
                if time.monotonic() - sent >= 60 * job.save_every:
                    ray.get(mailbox.post.remote(key, "files", pack_run(folder)))
                    sent = time.monotonic()
                child.answer(go_on=ray.get(mailbox.ask.remote(key, dict(last.epochs))))
        finally:
            if child.running:
                child.kill()
        return last, child.death, pack_run(folder)


class RayPool(StudyPool):
    """Trains runs on a cluster, as many at once as it has room for.

    Args:
        address: ``ray``: the cluster of this machine or that of the variable ``RAY_ADDRESS``, or else one is started
            here. ``ray://HOST:PORT``: one that is reached from outside.
        like: See :class:`StudyPool`; a job takes as many cores as threads, and a GPU where the cluster has some.
        jobs: At most so many at once; None: as many as there is room for.

    Raises:
        RunError: Ray is missing, or there is no cluster.
    """

    def __init__(self, address: str, like: Job, jobs: int | None = None) -> None:
        try:
            ray: Any = import_module("ray")  # not before it is needed; much of it has no types
        except ImportError:
            raise RunError("--on ray needs Ray: pip install 'sewdsl[cluster]'") from None
        super().__init__(like)  # before Ray sets a handler of signals of its own
        self._ray, self._most = ray, jobs
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
                token = "; it may ask for a token, see RAY_AUTH_MODE" if address != "ray" else ""
                message = f"there is no cluster of Ray at {address}: {str(error).partition(chr(10))[0]}{token}"
                raise RunError(message) from None
        self._gpus = like.device != "cpu" and ray.cluster_resources().get("GPU", 0) > 0
        if like.device == "cuda" and not self._gpus:
            raise RunError("the cluster has no GPU; --device cpu takes its processors")
        self._mailbox: Any = ray.remote(Mailbox).options(num_cpus=0, resources=HEAD).remote()
        self._mail: Any = self._mailbox.take.remote()
        self._tasks: dict[Any, tuple[StudyRun, int, str]] = {}

    @property
    def size(self) -> int:
        """Number of runs that the nodes there now have room for; at least one, which waits for room."""
        resources = self._ray.cluster_resources()
        room = int(resources.get("GPU", 0)) if self._gpus else int(resources.get("CPU", 0)) // self._like.threads
        return max(1, min(room, self._most or room))

    def stop(self) -> None:
        """End what still runs: what the workers have sent is in the study's folder."""
        for task in self._tasks:
            with suppress(Exception):  # the cluster may be gone
                self._ray.cancel(task)
        with suppress(Exception):
            if self._tasks:
                self._ray.wait([*self._tasks], num_returns=len(self._tasks), timeout=10)
            self._ray.kill(self._mailbox)
        if self._began:
            self._ray.shutdown()

    def begin(self, run: StudyRun) -> None:
        """Hand a run to a worker."""
        self._submit(run, 1)

    def wait(self) -> Ending:
        """Return the next run that ends; one whose worker died is handed to another."""
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
        run.place.path.mkdir(parents=True, exist_ok=True)
        key = f"{run.place.path}#{attempt}"
        begun = pack_run(run.place) if run.place.spec.is_file() else b""
        remote = self._ray.remote(train_on_node).options(
            num_cpus=self._like.threads, num_gpus=1 if self._gpus else 0, max_retries=0
        )
        version = installed_version("sewdsl")
        plugins = [(file.path.name, file.content) for file in plugin_files()]
        task = remote.remote(self.job(run), key, begun, plugins, self._mailbox, version)
        self._tasks[task] = (run, attempt, key)

    def _read_mail(self) -> None:
        try:
            key, kind, content = self._ray.get(self._mail)
        except self._ray.exceptions.RayError as error:  # the head node has it
            raise RunError(f"the cluster of Ray is gone ({type(error).__name__}); the same command goes on") from None
        self._mail = self._mailbox.take.remote()
        run = next((run for run, _, of in self._tasks.values() if of == key), None)
        if run is None:
            return  # of a worker that was given up
        if kind == "line":
            self.show(run, content)
        elif kind == "files":
            unpack_run(content, run.place)
        else:
            self._mailbox.answer.remote(key, run.goes_on(content))

    def _end(self, task: Any) -> Ending | None:
        """Return how a run ended; None where another worker goes on with it."""
        run, attempt, _ = self._tasks.pop(task)
        try:
            last, death, files = self._ray.get(task)
        except self._ray.exceptions.RayTaskError as error:
            raise RunError(f"{run.title}: {str(error.cause).partition(chr(10))[0]}") from None
        except self._ray.exceptions.RayError as error:
            last, death, files = None, f"its worker died: {type(error).__name__}", b""
        if files:
            unpack_run(files, run.place)
        if (last is None or last.kind == "epochs") and attempt < TRIES:
            self.show(run, f"{death}; another goes on with it")
            self._submit(run, attempt + 1)
            return None
        return self.ending(run, last, death)
