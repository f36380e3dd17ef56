"""``sewdsl serve``: editor in the browser, with live diagram and diagnostics."""

from __future__ import annotations

import os
import socket
import sys
import threading
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sewdsl.cli.files import fail
from sewdsl.cli.options import HelpPanel, argument, exit_with_usage_error
from sewdsl.compiler import shipped_networks
from sewdsl.paths import is_folder, is_there, open_file
from sewdsl.terminal import echo

if TYPE_CHECKING:
    from sewdsl.serve.app import LivePage

DEFAULT_NETWORK = "mnist5k"
"""Shipped network in the editor if no file is opened."""
NEW_FILE_TEXT = """\
sewdsl 1
network "untitled"
input   1x28x28
steps   4
encode  direct
neuron  PLIF(tau=2.0)
body    c16k5s2-BN-PLIF-{SEW Block (c16)-MPk3s2p1}*2-FC10
"""
SHUTDOWN_SECONDS = 10.0
"""Default time limit in seconds of a request."""
LOOPBACK = ("127.0.0.1", "localhost", "::1")


def command(
    file: Annotated[
        Path | None,
        argument("FILE", "Network file to edit, created if missing, or a folder.", "current folder"),
    ] = None,
    port: Annotated[
        int, HelpPanel.SERVER.option("--port N", "Port to listen on (0 selects a free port).", min=0, max=65535)
    ] = 8765,
    host: Annotated[
        str,
        HelpPanel.SERVER.option(
            "--host ADDRESS", "Address to listen on (any address but localhost lets other machines edit the files)."
        ),
    ] = "127.0.0.1",
    timeout: Annotated[
        float,
        HelpPanel.SERVER.option(
            "--timeout SECONDS", "Time limit in seconds for compiling or drawing.", min=1, max=86_400
        ),
    ] = SHUTDOWN_SECONDS,
    open_: Annotated[bool, HelpPanel.SERVER.option("--open/--no-open", "Open the page in a browser.")] = True,
) -> None:
    """Edit a network in the browser, with live diagram and diagnostics.

    The page loads nothing from other servers. Requires the extra `serve`.
    """
    from sewdsl.serve.app import run

    site = _site(file)
    listener = _listen(host, port)
    address = f"http://{'localhost' if host in LOOPBACK else host}:{listener.getsockname()[1]}/"
    echo(f"{site.name} at {address} (press Ctrl-C to stop)")
    if open_:
        # Wait until the server accepts connections.
        timer = threading.Timer(0.5, webbrowser.open, [address])
        timer.daemon = True  # Text browsers block the thread, which must not keep the server alive.
        timer.start()
    # Requests for other host names are rejected, because foreign web pages could send them (DNS rebinding).
    hosts = ["localhost"] if host in LOOPBACK else ["localhost", host, socket.gethostname(), socket.getfqdn()]
    try:
        run(site, hosts, listener, timeout)
    except KeyboardInterrupt:
        raise typer.Exit(0) from None


def _site(file: Path | None) -> LivePage:
    from sewdsl.serve.app import LivePage
    from sewdsl.serve.folder import FileAccessError, ServedFolder

    if file is None or is_folder(file):
        text = shipped_networks()[DEFAULT_NETWORK].read_text(encoding="utf-8")
        return LivePage(ServedFolder(file or Path.cwd()), text, DEFAULT_NETWORK)
    if file.suffix != ".net":
        exit_with_usage_error(f"FILE must end with .net, got '{file}'")
    if is_there(file):
        try:
            # Fail now, instead of in the browser.
            open_file(file).close()
        except OSError as error:
            fail(f"cannot read '{file}': {error.strerror}")
    if not is_folder(file.parent):
        fail(f"the folder '{file.parent}' does not exist")
    # Edit the target of a link, so that saving does not replace the link.
    file = Path(os.path.realpath(file))
    folder = ServedFolder(file.parent, file)
    if not is_there(file):
        return LivePage(folder, NEW_FILE_TEXT, file.name)
    try:
        return LivePage(folder, folder.read(file.name).text, file.name)
    except FileAccessError as refusal:
        fail(str(refusal))


def _listen(host: str, port: int) -> socket.socket:
    """Return a listening socket, or exit with code 1 if the address is not available."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    # On Windows the option would let two programs listen on the same port.
    if sys.platform != "win32":
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen()  # Browsers can connect from now on, before the server accepts.
    except OSError as error:
        listener.close()
        hint = "set --host to an address of this machine" if isinstance(error, socket.gaierror) else "try --port 0"
        fail(f"cannot listen on {host}:{port}: {error.strerror}; {hint}")
    return listener
