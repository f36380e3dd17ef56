"""Aspects of a text that a snapshot contains."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from .command import plain, sewdsl, shown
from .inputs import Text

PROSE = ("message", "label", "help", "title")
FORMATS = {
    "python": "py",
    "spikingjelly": "py",
    "nir": "nir",
    "onnx": "onnx",
    "onnx-unrolled": "onnx",
    "torch-export": "pt2",
}
ARCHIVE = "torch-export"
EVERY = {"onnx-unrolled": 10, ARCHIVE: 10, "onnx": 2}
"""Formats that are slow to write, and which of the generated networks are written: every Nth."""
LARGE = 3_000_000
"""Number of parameters above which a network is only exported to Python, since other files would be too large."""
FEW = 4
"""Largest size of an array to write in full."""


def codes(text: Text) -> str:
    """Return the diagnostics without prose: codes, spans, paths and edits."""
    printed = sewdsl("check", text.spec, *text.arguments, "--json")
    try:
        diagnostics = _without(json.loads(printed.out), PROSE)
    except ValueError:
        return str(printed)
    return f"{json.dumps(diagnostics, indent=1, ensure_ascii=False)}\n--- exit code {printed.code}\n"


def messages(text: Text) -> str:
    """Return the diagnostics in each format."""
    forms = (["--format", each] for each in ("text", "json", "github"))
    return "\n".join(shown("check", text.spec, *text.arguments, *form) for form in forms)


def fixes(text: Text) -> str:
    """Return the text after all fixes."""
    parts = []
    for extra in ([], ["--unsafe-fixes"]):
        # Fixes change the file, so write it again for each variant.
        text.write(Path.cwd())
        printed = sewdsl("check", text.spec, *text.arguments, "--fix", *extra, "--format", "concise")
        parts.append(printed.out if not text.is_file else Path(text.spec).read_text(errors="surrogateescape"))
        parts.append(f"--- exit code {printed.code}\n")
    text.write(Path.cwd())
    return plain("".join(parts)).encode(errors="backslashreplace").decode()


def formatted(text: Text) -> str:
    """Return the formatted text."""
    if text.is_file:
        return (
            shown("fmt", "-", stdin=text.text) + shown("fmt", "--check", text.spec) + shown("fmt", "--diff", text.spec)
        )
    return shown("fmt", text.spec, *text.arguments) if "dialect" in text.options else ""


def network(text: Text) -> str:
    """Return the output of ``show --json``."""
    return shown("show", text.spec, *text.arguments, "--json")


def tables(text: Text) -> str:
    """Return the tables of ``show``."""
    return shown("show", text.spec, *text.arguments) + shown("show", text.spec, *text.arguments, "--expand")


def memory(text: Text) -> str:
    """Return the memory estimate of a training step."""
    parts: list[list[str]] = [[], ["--batch", "4", "--json"]]
    return "\n".join(shown("show", text.spec, *text.arguments, "--memory", *extra) for extra in parts)


def energy(text: Text) -> str:
    """Return the estimate of operations and energy."""
    parts: list[list[str]] = [[], ["--json", "--costs", "3.1", "0.1"]]
    return "\n".join(shown("show", text.spec, *text.arguments, "--energy", *extra) for extra in parts)


def drawings(text: Text) -> str:
    """Return the drawing as DOT and Mermaid, folded and expanded, in both directions."""
    forms = (["dot"], ["dot", "--expand"], ["dot", "--direction", "lr"], ["mermaid"], ["mermaid", "--expand"])
    return "\n".join(shown("draw", text.spec, *text.arguments, "-o", "-", "--format", *form) for form in forms)


def notation(text: Text) -> str:
    """Return the network in each notation."""
    forms = ("plain", "net", "latex", "tikz", "tikz-fragment")
    return "\n".join(shown("notation", text.spec, *text.arguments, "--as", form) for form in forms)


def stages(text: Text) -> str:
    """Return the output of ``compile`` for each stage except the module."""
    forms = (["tree"], ["network"], *(["passes", "--optimize", level] for level in "012"))
    return "\n".join(shown("compile", text.spec, *text.arguments, "--emit", *form) for form in forms)


def modules(text: Text) -> str:
    """Return the printed PyTorch module, which contains class names."""
    return "\n".join(
        shown("compile", text.spec, *text.arguments, "--emit", "module", "--optimize", level) for level in "01"
    )


def difference(text: Text) -> str:
    """Return the differences to another network, and to itself."""
    uses = (["tiny", text.spec], [text.spec, "tiny", "--json"], [text.spec, text.spec])
    return "\n".join(shown("diff", *words, *text.arguments) for words in uses)


def weights(text: Text) -> str:
    """Return keys and initial values of the weights."""
    from . import numbers  # noqa: PLC0415 -- torch takes seconds to import

    return numbers.keys(text) if _described(text) else ""


def outputs(text: Text) -> str:
    """Return outputs and gradients."""
    from . import numbers  # noqa: PLC0415 -- torch takes seconds to import

    description = _described(text)
    return numbers.outputs(text, description) if description else ""


def exports(text: Text) -> str:
    """Return the exported files as hashes, and as text if possible."""
    return _exported(text, [form for form in FORMATS if form != ARCHIVE])


def archives(text: Text) -> str:
    """Return the archive of ``torch.export``, which contains class names."""
    return _exported(text, [ARCHIVE])


def _exported(text: Text, forms: Iterable[str]) -> str:
    description, parts = _described(text), []
    if not description:
        return ""
    large = description["parameters"] > LARGE
    for form in forms:
        every = EVERY.get(form, 1)
        if (text.group == "generated" and int(text.name[1:]) % every) or (large and form != "python"):
            continue
        out = Path("exported") / f"net.{FORMATS[form]}"
        out.parent.mkdir(exist_ok=True)
        parts.append(shown("export", text.spec, str(out), *text.arguments, "--to", form, "--seed", "3"))
        for file in sorted(out.parent.iterdir()):
            parts += [f"{file.name}: {_hash(file.read_bytes())}", *contents(file)]
            file.unlink()
    return "".join(f"{part}\n" for part in parts)


def contents(file: Path) -> Iterator[str]:
    """Yield the readable content of an exported file."""
    if file.suffix == ".py":
        yield file.read_text(encoding="utf-8")
    elif file.suffix == ".nir":
        import h5py  # noqa: PLC0415 -- comes with nir

        items: list[str] = []
        with h5py.File(file) as opened:
            opened.visititems(lambda name, item: items.append(f"  {name} {_dataset(item)}"))
        yield from items
    elif file.suffix == ".onnx":
        import onnx  # noqa: PLC0415 -- slow

        graph = onnx.load(file).graph
        for node in graph.node:
            yield f"  {node.op_type}({', '.join(node.input)}) -> {', '.join(node.output)}"
        for each in graph.initializer:
            yield f"  {each.name} {list(each.dims)} {_hash(each.raw_data or each.SerializeToString())}"
    elif zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            yield from (f"  {name} {_hash(archive.read(name))}" for name in sorted(archive.namelist()))


def _dataset(item: Any) -> str:
    """Return shape and hash of an HDF5 array, or its content if it is small or text."""
    if not hasattr(item, "shape"):
        return ""
    value = item[()]
    if isinstance(value, bytes) or value.dtype == object or value.size <= FEW:
        return repr(value.tolist() if hasattr(value, "tolist") else value)
    return f"{value.shape} {value.dtype} {_hash(value.tobytes())}"


def _hash(data: bytes) -> str:
    return f"{len(data)} bytes, {hashlib.sha256(data).hexdigest()[:16]}"


def _described(text: Text) -> Mapping[str, Any] | None:
    """Return the output of ``sewdsl show --json``, or None without a network."""
    printed = sewdsl("show", text.spec, *text.arguments, "--json")
    return json.loads(printed.out) if printed.code == 0 else None


def _without(value: Any, keys: tuple[str, ...]) -> Any:
    """Return data without some of its keys, at any depth."""
    if isinstance(value, list):
        return [_without(each, keys) for each in value]
    if isinstance(value, dict):
        return {key: _without(each, keys) for key, each in value.items() if key not in keys}
    return value


ASPECTS: dict[str, Callable[[Text], str]] = {
    "codes": codes,
    "messages": messages,
    "fixes": fixes,
    "format": formatted,
    "network": network,
    "tables": tables,
    "memory": memory,
    "energy": energy,
    "drawings": drawings,
    "notation": notation,
    "stages": stages,
    "modules": modules,
    "diff": difference,
    "weights": weights,
    "outputs": outputs,
    "exports": exports,
    "archives": archives,
}
OF_WRONG_TEXTS = ("codes", "messages", "fixes", "format")
"""Aspects of texts that are not valid networks."""


def of(text: Text) -> list[str]:
    """Return the names of a text's aspects."""
    return [name for name in ASPECTS if text.group != "wrong" or name in OF_WRONG_TEXTS]
