"""Worker process for requests about texts, over standard input and output.

The server starts the process, and kills it if a request takes too long. A message is a line of JSON with the ``size``
of the body, followed by the body, which is JSON too. The first message of the process is empty: the process is ready.
The process exits at the end of standard input, so it never outlives the server.
"""

from __future__ import annotations

import gc
import json
import os
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Sequence
from math import ceil
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from sewdsl.own_code import load_plugin
from sewdsl.serve.answers import Refusal, Texts, answer

if sys.platform != "win32":
    import resource

MAX_MEMORY = 2 * 2**30
"""Memory limit in bytes, on Linux. A request that needs more is answered with an error."""
MAX_ANSWER = 64 * 2**20
"""Largest answer in bytes. A larger answer is replaced by an error."""


class Message(NamedTuple):
    """Request: its name (``what``), the ``folder`` of accessible files, the time limit in ``seconds``, and a body."""

    head: dict[str, Any]
    body: bytes


class Answer(NamedTuple):
    """Answer to a request, with its HTTP status. A process cannot answer another request after the last one."""

    status: int
    body: bytes
    last: bool = False


def main(plugins: Sequence[str] = ()) -> None:
    """Import plugin files of the server, and answer requests until the end of standard input."""
    requests, answers = _private_streams()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes of the terminal; the server stops us.
    if sys.platform != "win32":
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        _limit(resource.RLIMIT_DATA, MAX_MEMORY)
    for file in plugins:
        load_plugin(file)
    messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(requests, messages), daemon=True).start()
    texts = Texts()
    _warm_up(texts)
    _write(answers, Answer(200, b""))
    while True:
        message = messages.get()
        _limit_time(message.head["seconds"])
        _write(answers, _answer(texts, message))


def _private_streams() -> tuple[BinaryIO, BinaryIO]:
    """Return standard input and output, and redirect both descriptors."""
    # Output of plugins and libraries must not disturb the protocol.
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(2, 1)
    os.close(null)
    return requests, answers


def _read(requests: BinaryIO, messages: queue.SimpleQueue[Message]) -> None:
    """Read requests in a thread. At the end of the stream, kill the process and its child processes."""
    while line := requests.readline():
        head = json.loads(line)
        messages.put(Message(head, requests.read(head["size"])))
    if sys.platform != "win32" and os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(0)


def _write(answers: BinaryIO, message: Answer) -> None:
    head = {"status": message.status, "size": len(message.body), "last": message.last}
    answers.write(json.dumps(head).encode() + b"\n" + message.body)
    answers.flush()


def _limit_time(seconds: float) -> None:
    """Limit the processor time of the process, as a safeguard one second after the limit of the server."""
    if sys.platform != "win32":
        used = resource.getrusage(resource.RUSAGE_SELF)
        _limit(resource.RLIMIT_CPU, ceil(used.ru_utime + used.ru_stime + seconds) + 1)


def _limit(resource_id: int, amount: int) -> None:
    # An unprivileged process cannot exceed the hard limit.
    if sys.platform != "win32":
        _, hard = resource.getrlimit(resource_id)
        resource.setrlimit(resource_id, (amount if hard == resource.RLIM_INFINITY else min(amount, hard), hard))


def _warm_up(texts: Texts) -> None:
    """Run slow initialisation, such as reading the grammar, before the first request."""
    text = "sewdsl 1\ninput 2x8x8\nneuron IF\nbody c4k3-BN-SN-FC2\n"
    request = {"folder": os.curdir, "seconds": 60, "name": "", "text": text, "at": text.index("c4")}
    for name in ("look", "picture", "hover", "complete"):
        answer(texts, name, request)
    gc.collect()
    # Exclude long-lived objects from garbage collection, which would take longer than an answer.
    gc.freeze()


def _answer(texts: Texts, message: Message) -> Answer:
    """Answer a request. Errors become answers with an ``error``."""
    name = message.head["what"]
    try:
        request = json.loads(message.body) | message.head
        result = answer(texts, name, request)
        body = json.dumps(result, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except Refusal as refusal:
        return Answer(409, _error(str(refusal)))
    except MemoryError:
        return Answer(
            500, _error(f"this needs more than {MAX_MEMORY // 2**30} GiB of memory", "shorten the text"), last=True
        )
    except Exception as error:  # noqa: BLE001 -- the page shows any error, and the process continues
        traceback.print_exc()
        *_, frame = traceback.extract_tb(error.__traceback__)
        position = f"{Path(frame.filename).name}, line {frame.lineno}"
        hint = "this is a bug in sewdsl; report it with the text and the output in the terminal"
        return Answer(500, _error(f"'{name}' failed: {type(error).__name__} in {position}", hint))
    if len(body) > MAX_ANSWER:
        return Answer(500, _error(f"the answer exceeds {MAX_ANSWER:,} bytes", "shorten the text"))
    return Answer(200, body)


def _error(message: str, hint: str = "") -> bytes:
    return json.dumps({"error": message, "help": hint}).encode()
