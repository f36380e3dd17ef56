"""``sewdsl serve``: a page in the browser, with an editor and what becomes of the text in it."""

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
from sewdsl.cli.options import Panel, exit_with_usage_error
from sewdsl.compiler import shipped_networks
from sewdsl.paths import is_folder, is_there, open_file
from sewdsl.terminal import echo

if TYPE_CHECKING:
    from sewdsl.serve.app import LivePage

DEFAULT_NETWORK = "mnist5k"
"""The network that is shown where no file is opened."""
NEW_FILE_TEXT = """\
sewdsl 1
network "untitled"
input   1x28x28
steps   4
encode  direct
neuron  PLIF(tau=2.0)
body    c16k5s2-BN-PLIF-{SEW Block (c16)-MPk3s2p1}*2-FC10
"""
"""Of a file that is new."""
SHUTDOWN_SECONDS = 10.0
"""That the answer to a request may take, unless an option says otherwise."""
LOOPBACK = ("127.0.0.1", "localhost", "::1")


def command(
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE",
            help="Network file to edit, created if missing, or a folder.",
            show_default="current folder",
        ),
    ] = None,
    port: Annotated[
        int,
        typer.Option(
            "--port",
            metavar="N",
            min=0,
            max=65535,
            help="Port to listen on (0 selects a free port).",
            rich_help_panel=Panel.SERVER,
        ),
    ] = 8765,
    host: Annotated[
        str,
        typer.Option(
            "--host",
            metavar="ADDRESS",
            help="Address to listen on (any address but localhost lets other machines edit the files).",
            rich_help_panel=Panel.SERVER,
        ),
    ] = "127.0.0.1",
    timeout: Annotated[
        float,
        typer.Option(
            "--timeout",
            metavar="SECONDS",
            min=1,
            max=86_400,
            help="Time limit in seconds for compiling or drawing.",
            rich_help_panel=Panel.SERVER,
        ),
    ] = SHUTDOWN_SECONDS,
    open_: Annotated[
        bool,
        typer.Option("--open/--no-open", help="Open the page in a browser.", rich_help_panel=Panel.SERVER),
    ] = True,
) -> None:
    """Edit a network in the browser, with live diagram and diagnostics.

    The page loads nothing from other servers. Requires the extra `serve`.
    """
    from sewdsl.serve.app import run

    site = _site(file)
    listening = _listen(host, port)
    address = f"http://{'localhost' if host in LOOPBACK else host}:{listening.getsockname()[1]}/"
    echo(f"{site.name} at {address} (press Ctrl-C to stop)")
    if open_:
        opening = threading.Timer(0.5, webbrowser.open, [address])
        opening.daemon = True  # a browser in the terminal does not keep the server
        opening.start()
    hosts = ["localhost"] if host in LOOPBACK else ["localhost", host, socket.gethostname(), socket.getfqdn()]
    try:
        run(site, hosts, listening, timeout)
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
            open_file(file).close()
        except OSError as error:
            fail(f"cannot read '{file}': {error.strerror}")
    if not is_folder(file.parent):
        fail(f"the folder '{file.parent}' does not exist")
    file = Path(os.path.realpath(file))  # what a link leads to is what is edited
    folder = ServedFolder(file.parent, file)
    if not is_there(file):
        return LivePage(folder, NEW_FILE_TEXT, file.name)
    try:
        return LivePage(folder, folder.read(file.name).text, file.name)
    except FileAccessError as refusal:
        fail(str(refusal))


def _listen(host: str, port: int) -> socket.socket:
    """Return a socket at that address; ends with exit code 1 where there is none."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    if sys.platform != "win32":  # there the option lets two programs listen at one port
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen()  # from here on a browser waits, and is not turned away
    except OSError as error:
        listening.close()
        hint = "set --host to an address of this machine" if isinstance(error, socket.gaierror) else "try --port 0"
        fail(f"cannot listen on {host}:{port}: {error.strerror}; {hint}")
    return listening
