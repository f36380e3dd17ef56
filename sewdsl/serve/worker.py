"""The process that answers about texts: one request after the other, over its standard input and output.

The server starts it, and kills it when a request takes too long. Both directions carry messages: a line of JSON, which
has the ``size`` of what follows it, and so many bytes of JSON. The first message says that the process is ready, and is
empty. It ends as soon as its standard input does, so that it never outlives the server, however that ends.
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
"""Bytes of memory, where the system can limit it (Linux); a request that needs more is answered by an error."""
MAX_ANSWER = 64 * 2**20
"""Bytes of an answer; a longer one is replaced by an error."""


class Message(NamedTuple):
    """A request.

    Attributes:
        head: ``what`` is asked, the ``folder`` whose files count, and the ``seconds`` that the answer may take.
    """

    head: dict[str, Any]
    body: bytes


class Answer(NamedTuple):
    """An answer.

    Attributes:
        status: As in HTTP.
        last: Whether the process can answer no more.
    """

    status: int
    body: bytes
    last: bool = False


def main(plugins: Sequence[str] = ()) -> None:
    """Answer requests until the standard input ends.

    Args:
        plugins: Files of Python that the server was started with.
    """
    asked, answered = _private_streams()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the server decides when this process ends
    if sys.platform != "win32":
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        _limit(resource.RLIMIT_DATA, MAX_MEMORY)
    for file in plugins:
        load_plugin(file)
    messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(asked, messages), daemon=True).start()
    texts = Texts()
    _warm_up(texts)
    _write(answered, Answer(200, b""))
    while True:
        message = messages.get()
        _limit_time(message.head["seconds"])
        _write(answered, _answer(texts, message))


def _private_streams() -> tuple[BinaryIO, BinaryIO]:
    """Return the standard input and output, and put others in their place, where ``print`` does no harm."""
    asked, answered = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    os.close(nothing)
    return asked, answered


def _read(asked: BinaryIO, messages: queue.SimpleQueue[Message]) -> None:
    """Read requests while others are answered; after the last, end the process and those that it started."""
    while line := asked.readline():
        head = json.loads(line)
        messages.put(Message(head, asked.read(head["size"])))
    if sys.platform != "win32" and os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(0)


def _write(answered: BinaryIO, given: Answer) -> None:
    head = {"status": given.status, "size": len(given.body), "last": given.last}
    answered.write(json.dumps(head).encode() + b"\n" + given.body)
    answered.flush()


def _limit_time(seconds: float) -> None:
    """Let the system end this process if the server does not, a second after the server should have done so."""
    if sys.platform != "win32":
        used = resource.getrusage(resource.RUSAGE_SELF)
        _limit(resource.RLIMIT_CPU, ceil(used.ru_utime + used.ru_stime + seconds) + 1)


def _limit(what: int, amount: int) -> None:
    if sys.platform != "win32":
        _, hard = resource.getrlimit(what)
        resource.setrlimit(what, (amount if hard == resource.RLIM_INFINITY else min(amount, hard), hard))


def _warm_up(texts: Texts) -> None:
    """Do what takes longer for the first text than for others, such as reading the grammar."""
    text = "sewdsl 1\ninput 2x8x8\nneuron IF\nbody c4k3-BN-SN-FC2\n"
    asked = {"folder": os.curdir, "seconds": 60, "name": "", "text": text, "at": text.index("c4")}
    for what in ("look", "picture", "hover", "complete"):
        answer(texts, what, asked)
    gc.collect()
    gc.freeze()  # what stays is no longer searched for garbage: that takes longer than an answer


def _answer(texts: Texts, request: Message) -> Answer:
    """Return the answer to a request, whatever goes wrong."""
    what = request.head["what"]
    try:
        asked = json.loads(request.body) | request.head
        found = answer(texts, what, asked)
        body = json.dumps(found, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except Refusal as refusal:
        return Answer(409, _error(str(refusal)))
    except MemoryError:
        return Answer(
            500, _error(f"this needs more than {MAX_MEMORY // 2**30} GiB of memory", "shorten the text"), last=True
        )
    except Exception as error:  # noqa: BLE001 -- whatever it is, the page says so, and the next request is answered
        traceback.print_exc()
        *_, place = traceback.extract_tb(error.__traceback__)
        where = f"{Path(place.filename).name}, line {place.lineno}"
        hint = "this is a defect of sewdsl: report it with the text; the terminal shows more"
        return Answer(500, _error(f"'{what}' failed: {type(error).__name__} in {where}", hint))
    if len(body) > MAX_ANSWER:
        return Answer(500, _error(f"the answer is longer than {MAX_ANSWER:,} bytes", "shorten the text"))
    return Answer(200, body)


def _error(message: str, hint: str = "") -> bytes:
    return json.dumps({"error": message, "help": hint}).encode()
