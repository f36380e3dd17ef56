"""``sewdsl export --to folder``: a self-contained folder with network, weights and model card."""

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
    from sewdsl.ir.network import Network
    from sewdsl.lower import SpikingNetwork
    from sewdsl.train.store.run_record import RunRecord

SOURCE = "network.py"
"""File with the network in plain PyTorch."""


class WeightsSource(NamedTuple):
    """Source of the weights of an exported network: a run, a file, or random initialisation."""

    run: Path | None
    file: Path | None
    best: bool
    """Whether the weights are from the best epoch of the run instead of the last."""
    seed: int

    def describe(self) -> str:
        """Describe the source in sentences for the model card, without local paths."""
        if self.run is not None:
            return f"The weights in this folder are those of the {'best' if self.best else 'last'} epoch of a run."
        if self.file is not None:
            from hashlib import sha256

            digest = sha256(self.file.read_bytes()).hexdigest()
            return (
                f"The weights come from the file `{self.file.name.replace('`', '')}`, SHA-256 `{digest}`. "
                "Their training and accuracy are not recorded."
            )
        return f"**Untrained**: the weights are initial weights with seed {self.seed}."


def require_free_folder(out: Path) -> None:
    """Exit with code 1 if the path exists and is not an empty folder."""
    try:
        exists = is_there(out) and not (is_folder(out) and not out.is_symlink() and not any(out.iterdir()))
    except OSError as error:
        fail(f"cannot read '{out}': {explain(error, out)}")
    if exists:
        fail(f"'{out}' exists and is not an empty folder; choose another OUT")


def write_exported_folder(
    out: Path, model: SpikingNetwork, text: str, origin: WeightsSource, inputs: str, license: str
) -> None:
    """Write a network to a new or empty folder, atomically, and print the list of its files.

    Args:
        text: Self-contained ``.net`` file of the network.
        inputs: Scaling of the inputs, in words (may be empty).
        license: Identifier of the licence, or empty for the licence of the run.
    """
    files = _render_files(model, text, origin, inputs, license)
    try:
        write_folder_atomically(out, files)
    except OSError as error:
        fail(f"cannot write '{out}': {explain(error, out)}")
    echo(f"{out}: {model.network.name}, with {', '.join(files)}; {sum(map(len, files.values())):,} bytes")


def _render_files(
    model: SpikingNetwork, text: str, origin: WeightsSource, inputs: str, license: str
) -> Mapping[str, bytes]:
    """Return the contents of the files by name, without local paths."""
    from sewdsl.exchange.errors import ExportError
    from sewdsl.exchange.write.python import source
    from sewdsl.tensor_file import encode_tensors
    from sewdsl.train.report.model_card import ExportedFiles, render_card

    # Compile the exported text: comments in network.py refer to the lines of spec.net.
    network = read(Source("spec.net", text)).result()
    epoch = "best" if origin.best else "last"
    metadata = {EPOCH: epoch} if origin.run else {}
    files = {"spec.net": text.encode(), WEIGHTS: encode_tensors(model.state_dict(), metadata)}
    name = ""
    try:
        # The code names the weights file of a plain Python export; in a folder it has another name.
        code = source(network, inputs).replace("net.safetensors", WEIGHTS)
        name = next(node.name for node in reversed(ast.parse(code).body) if isinstance(node, ast.ClassDef))
        files[SOURCE] = code.encode()
    except ExportError as error:
        echo(f"note: {SOURCE} is not written: {error}", err=True)
    try:
        files["diagram.svg"] = draw.render_picture(network)
    except draw.RenderingError as error:
        echo(f"note: diagram.svg is not written: {error}", err=True)
    facts = _facts(network, text, origin, license)
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
    card = render_card(facts, exported=ExportedFiles(origin.describe(), name, epoch, "diagram.svg" in files))
    return {"README.md": card.encode(), **files}


def _facts(network: Network, text: str, origin: WeightsSource, license: str) -> RunRecord:
    """Return the record for the model card: that of the run, restricted to the exported weights."""
    from sewdsl.train.store import measurements
    from sewdsl.train.store.run_folder import RunFolder
    from sewdsl.train.store.run_record import RunRecord, load_record

    if origin.run is None:
        data = {"on": network.recipe.on} if network.recipe else {}
        return RunRecord(network.name, text, data, {}, {}, measurements.NONE, "", license=license)
    facts = load_record(RunFolder(origin.run))
    # The initial weights are not exported.
    command = facts.command.replace("--weights checkpoints/start.safetensors", "--weights FILE")
    facts = replace(facts, spec=text, command=command, license=license or facts.license)
    # A run counts its operations with the last weights, so the count does not apply to the best.
    return replace(facts, energy=None) if origin.best else facts
