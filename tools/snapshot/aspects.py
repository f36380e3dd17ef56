"""What is written down of each text."""

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
"""Of the generated networks, one of so many is written in these formats, which take long."""
LARGE = 3_000_000
"""Parameters from which on a network is written as a file of Python alone: the others would be many megabytes."""
FEW = 4
"""Numbers that are written out."""


def codes(text: Text) -> str:
    """Diagnostics without their words: codes, places, ways there, edits."""
    printed = sewdsl("check", text.spec, *text.arguments, "--json")
    try:
        found = _without(json.loads(printed.out), PROSE)
    except ValueError:
        return str(printed)
    return f"{json.dumps(found, indent=1, ensure_ascii=False)}\n--- exit code {printed.code}\n"


def messages(text: Text) -> str:
    """Diagnostics in words, in each form."""
    forms = (["--format", each] for each in ("text", "json", "github"))
    return "\n".join(shown("check", text.spec, *text.arguments, *form) for form in forms)


def fixes(text: Text) -> str:
    """What is left of a text when all is fixed that can be."""
    parts = []
    for extra in ([], ["--unsafe-fixes"]):
        text.write(Path.cwd())
        printed = sewdsl("check", text.spec, *text.arguments, "--fix", *extra, "--format", "concise")
        parts.append(printed.out if not text.is_file else Path(text.spec).read_text(errors="surrogateescape"))
        parts.append(f"--- exit code {printed.code}\n")
    text.write(Path.cwd())
    return plain("".join(parts)).encode(errors="backslashreplace").decode()


def formatted(text: Text) -> str:
    """The text as the formatter writes it."""
    if text.is_file:
        return (
            shown("fmt", "-", stdin=text.text) + shown("fmt", "--check", text.spec) + shown("fmt", "--diff", text.spec)
        )
    return shown("fmt", text.spec, *text.arguments) if "dialect" in text.options else ""


def network(text: Text) -> str:
    """All that ``show --json`` has."""
    return shown("show", text.spec, *text.arguments, "--json")


def tables(text: Text) -> str:
    """The tables of ``show``."""
    return shown("show", text.spec, *text.arguments) + shown("show", text.spec, *text.arguments, "--expand")


def memory(text: Text) -> str:
    """What a training step takes."""
    parts: list[list[str]] = [[], ["--batch", "4", "--json"]]
    return "\n".join(shown("show", text.spec, *text.arguments, "--memory", *extra) for extra in parts)


def energy(text: Text) -> str:
    """Operations at most."""
    parts: list[list[str]] = [[], ["--json", "--costs", "3.1", "0.1"]]
    return "\n".join(shown("show", text.spec, *text.arguments, "--energy", *extra) for extra in parts)


def drawings(text: Text) -> str:
    """The picture as DOT and Mermaid, folded and not, in both directions."""
    forms = (["dot"], ["dot", "--expand"], ["dot", "--direction", "lr"], ["mermaid"], ["mermaid", "--expand"])
    return "\n".join(shown("draw", text.spec, *text.arguments, "-o", "-", "--format", *form) for form in forms)


def notation(text: Text) -> str:
    """The network written back, in each form."""
    forms = ("plain", "net", "latex", "tikz", "tikz-fragment")
    return "\n".join(shown("notation", text.spec, *text.arguments, "--as", form) for form in forms)


def stages(text: Text) -> str:
    """What ``compile`` prints of each stage but the module."""
    forms = (*(["tree"], ["network"], ["dot"]), *(["passes", "--optimize", level] for level in "012"))
    return "\n".join(shown("compile", text.spec, *text.arguments, "--emit", *form) for form in forms)


def modules(text: Text) -> str:
    """The module of torch as it prints itself, with the names of the classes in it."""
    return "\n".join(
        shown("compile", text.spec, *text.arguments, "--emit", "module", "--optimize", level) for level in "01"
    )


def difference(text: Text) -> str:
    """What makes it another network than one that is quite another, and than itself."""
    uses = (["tiny", text.spec], [text.spec, "tiny", "--json"], [text.spec, text.spec])
    return "\n".join(shown("diff", *words, *text.arguments) for words in uses)


def weights(text: Text) -> str:
    """Keys and initial values of the weights."""
    from . import numbers  # noqa: PLC0415 -- torch takes seconds to import

    return numbers.keys(text) if _known(text) else ""


def outputs(text: Text) -> str:
    """Outputs and gradients."""
    from . import numbers  # noqa: PLC0415 -- as above

    known = _known(text)
    return numbers.outputs(text, known) if known else ""


def exports(text: Text) -> str:
    """What is written for other libraries: every file as a hash, and as far as it goes as text."""
    return _exported(text, [form for form in FORMATS if form != ARCHIVE])


def archives(text: Text) -> str:
    """The same as an archive of ``torch.export``, which has the names of classes in it."""
    return _exported(text, [ARCHIVE])


def _exported(text: Text, forms: Iterable[str]) -> str:
    known, parts = _known(text), []
    if not known:
        return ""
    large = known["parameters"] > LARGE
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
    """What is in an exported file, so far as it can be read."""
    if file.suffix == ".py":
        yield file.read_text(encoding="utf-8")
    elif file.suffix == ".nir":
        import h5py  # noqa: PLC0415 -- comes with nir

        found: list[str] = []
        with h5py.File(file) as opened:
            opened.visititems(lambda name, item: found.append(f"  {name} {_dataset(item)}"))
        yield from found
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
    """Shape and bits of an array of an HDF5 file, or what it holds where that is little or text."""
    if not hasattr(item, "shape"):
        return ""
    value = item[()]
    if isinstance(value, bytes) or value.dtype == object or value.size <= FEW:
        return repr(value.tolist() if hasattr(value, "tolist") else value)
    return f"{value.shape} {value.dtype} {_hash(value.tobytes())}"


def _hash(data: bytes) -> str:
    return f"{len(data)} bytes, {hashlib.sha256(data).hexdigest()[:16]}"


def _known(text: Text) -> Mapping[str, Any] | None:
    """``sewdsl show --json``, where there is a network."""
    printed = sewdsl("show", text.spec, *text.arguments, "--json")
    return json.loads(printed.out) if printed.code == 0 else None


def _without(value: Any, keys: tuple[str, ...]) -> Any:
    """Data without some of its keys, at any depth."""
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
"""What is worth writing down of a text that is no network."""


def of(text: Text) -> list[str]:
    """The aspects of a text."""
    return [name for name in ASPECTS if text.group != "wrong" or name in OF_WRONG_TEXTS]
