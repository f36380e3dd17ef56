"""What a file says of the network in it."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from sewdsl.ir.network import Network
from sewdsl.notation import UnwritableNetwork, write_net


def file_metadata(network: Network, inputs: str) -> dict[str, str]:
    """Texts by name.

    ``name``, ``steps``, ``encode`` and ``readout`` of the network; as ``spec`` the text of a ``.net`` file that
    compiles to it, empty where there is none; as ``inputs`` how they are scaled, empty where unknown; and the
    ``version`` of sewdsl that wrote it, empty if not installed.
    """
    settings = network.settings
    return {
        "name": network.name,
        "steps": str(settings.steps),
        "encode": settings.encode,
        "readout": settings.readout,
        "spec": _spec(network),
        "inputs": inputs,
        "version": _version(),
    }


def _spec(network: Network) -> str:
    try:
        return write_net(network)
    except UnwritableNetwork:
        return ""


def _version() -> str:
    try:
        return version("sewdsl")
    except PackageNotFoundError:  # a checkout that is run without being installed
        return ""
