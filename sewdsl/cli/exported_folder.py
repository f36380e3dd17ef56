"""``sewdsl export --to folder``: everything that a stranger needs, in a folder of its own."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from sewdsl import draw
from sewdsl.cli.files import fail
from sewdsl.compiler import read
from sewdsl.paths import explain, is_folder, is_there, write_folder_atomically
from sewdsl.source import Source
from sewdsl.terminal import echo
from sewdsl.train.store.run_lookup import EPOCH, WEIGHTS

if TYPE_CHECKING:
    from sewdsl.lower import SpikingNetwork
    from sewdsl.train.store.run_record import RunRecord

SOURCE = "network.py"
"""The network in plain PyTorch."""


class ExportOrigin(NamedTuple):
    """Where a network that is written comes from.

    Attributes:
        text: The network with all that it uses, as a file.
        run: The folder of the run that has trained it; None: of none.
        best: Whether with the weights of the run's best epoch.
        said: Where the weights come from, in a sentence.
        license: Under which it may be used; empty: what the run says.
    """

    text: str
    run: Path | None
    best: bool
    said: str
    license: str = ""


def require_free_folder(out: Path) -> None:
    """Ends with exit code 1 where something is there already that is no empty folder."""
    try:
        taken = is_there(out) and not (is_folder(out) and not out.is_symlink() and not any(out.iterdir()))
    except OSError as error:
        fail(f"cannot read '{out}': {explain(error, out)}")
    if taken:
        fail(f"'{out}' exists, and is no empty folder; choose another one")


def write_exported_folder(out: Path, model: SpikingNetwork, origin: ExportOrigin, inputs: str) -> None:
    """Writes a trained network as a folder, whole or not at all, and says what is in it.

    Args:
        out: The folder, which is not there or empty.
        model: The network with its weights.
        origin: Where it comes from.
        inputs: How inputs are scaled, in words; may be empty.
    """
    files = _files(model, origin, inputs)
    try:
        write_folder_atomically(out, files)
    except OSError as error:
        fail(f"cannot write '{out}': {explain(error, out)}")
    echo(f"{out}: {model.network.name}, with {', '.join(files)}; {sum(map(len, files.values())):,} bytes")


def _files(model: SpikingNetwork, origin: ExportOrigin, inputs: str) -> Mapping[str, bytes]:
    """The contents by name; no path of this machine is among them."""
    from sewdsl.exchange.errors import ExportError
    from sewdsl.exchange.write.python import source
    from sewdsl.tensor_file import encode_tensors
    from sewdsl.train.report.model_card import ExportedFiles, render_card

    network = read(Source("spec.net", origin.text)).result()  # its lines are named after the file that lies beside
    epoch = "best" if origin.best else "last"
    known = {EPOCH: epoch} if origin.run else {}
    files = {"spec.net": origin.text.encode(), WEIGHTS: encode_tensors(model.state_dict(), known)}
    name = ""
    try:
        code = source(network, inputs).replace("net.safetensors", WEIGHTS)
        name = next(node.name for node in reversed(ast.parse(code).body) if isinstance(node, ast.ClassDef))
        files[SOURCE] = code.encode()
    except ExportError as error:
        echo(f"note: there will be no {SOURCE}: {error}", err=True)
    try:
        files["diagram.svg"] = draw.render_picture(network)
    except draw.RenderingError as error:
        echo(f"note: there will be no diagram.svg: {error}", err=True)
    facts = _facts(network.name, origin)
    if origin.run is not None:
        files["result.json"] = (origin.run / "result.json").read_bytes()
        for plugin in facts.plugins:
            files[plugin] = (origin.run / plugin).read_bytes()
        if facts.plugins:
            files["plugins.json"] = (origin.run / "plugins.json").read_bytes()
        if facts.energy is not None:
            files["energy.json"] = (facts.energy.model_dump_json(indent=2) + "\n").encode()
    if facts.license:
        files["terms.json"] = (json.dumps({"license": facts.license}) + "\n").encode()
    card = render_card(facts, exported=ExportedFiles(origin.said, name, epoch, "diagram.svg" in files))
    return {"README.md": card.encode(), **files}


def _facts(name: str, origin: ExportOrigin) -> RunRecord:
    """What the card says: of a run all that is known of the weights that are written."""
    from sewdsl.train.store import measurements
    from sewdsl.train.store.run_folder import RunFolder
    from sewdsl.train.store.run_record import RunRecord, load_record

    if origin.run is None:
        recipe = read(Source("spec.net", origin.text)).result().recipe
        data = {"on": recipe.on} if recipe else {}
        return RunRecord(name, origin.text, data, {}, {}, measurements.NONE, "", license=origin.license)
    facts = load_record(RunFolder(origin.run))
    command = facts.command.replace("--weights checkpoints/start.safetensors", "--weights FILE")  # they stay behind
    facts = replace(facts, spec=origin.text, command=command, license=origin.license or facts.license)
    return replace(facts, energy=None) if origin.best else facts  # operations were counted with the last weights
