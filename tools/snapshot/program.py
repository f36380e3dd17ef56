"""Aspects of the program as a whole: commands, servers, runs and package."""

from __future__ import annotations

import inspect
import json
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from . import sessions
from .command import plain, shown

Parts = Iterable[tuple[str, str]]
COMMANDS = (
    *("check", "show", "draw", "fmt", "nets", "notation", "diff", "explain", "compile", "train", "eval", "study"),
    *("report", "runs", "probe", "export", "import", "lsp", "serve", "weights", "weights convert", "weights show"),
)
SMALL = """sewdsl 1
network "small"
input   1x8x8
steps   4
encode  direct
neuron  PLIF(tau=2.0)
body    c8k3-BN-SN-{SEW Block-MPk2}*2-FC10

train on digits {
    epochs 1
    batch 256
    optimizer AdamW(lr=0.02)
}
"""
STUDY = """sewdsl 1
use     "small.net"
body    c8k3-BN-SN-{SEW Block-MPk2}*2-FC10

study {
    vary join ADD IAND
    vary train.batch 128 256
}
"""
MODULES = """import torch
import torch.nn.functional as F
from torch import nn


def plain():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 8, 3, 2, 1, bias=False), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Dropout(0.2), nn.Linear(8, 10),
    )


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(2, 2, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(2)
        self.fc = nn.Linear(128, 5)

    def forward(self, x):
        x = F.relu(self.bn(self.conv(x)) + x)
        return self.fc(x.flatten(1))


class Functions(Residual):
    def forward(self, x):
        return self.fc(F.avg_pool2d(F.relu(self.conv(x)), 3, 1, 1).flatten(1))


class Unknown(Residual):
    def forward(self, x):
        return self.fc(x.tanh().flatten(1))


residual, functions, unknown = Residual, Functions, Unknown
"""
WRONG = "sewdsl 1\ninput 2x16x16\nbody c4k3-BNSN-\nneuron LIFF\n"

USES = """
check small.net
check small.net wrong.net
check wrong.net --json
check missing.net
check -
check tiny --format html
check small.net --set join=AND
check small.net --set train.epochs=0
check small.net --limit nodes=3
check latin.net
check small.net --set x
check small.net --limit nodes
check wrong.net --fix --format concise
check c4k3-BN-IF
show small.net
show wrong.net
show missing
show small.net --energy --memory
show small.net --batch 0
show tiny tiny
show small.net --batch 3
show c4k3 --input 2x8x8
show c4k3 --input 2x
show tiny --expand --json
draw small.net -o a.dot
draw small.net -o a.svg
draw small.net -o a.mmd
draw small.net -o a.xyz
draw wrong.net
draw tiny
draw tiny -o nowhere/a.svg
draw small.net -o -
draw small.net --direction up
fmt small.net
fmt small.net --check
fmt wrong.net
fmt missing.net
fmt wrong.net --diff
fmt tiny
nets
nets tiny
nets missing
nets --kinds
nets --all
notation small.net
notation small.net --as net -o b.net
notation small.net --as word
notation wrong.net
notation tiny -o no/b.net
diff tiny tiny
diff tiny small.net
diff tiny wrong.net
diff tiny
diff c4k3 c4k5 --input 1x8x8
diff tiny small.net --json
explain
explain unknown-name
explain unknown-nam
explain a b
compile small.net --emit passes
compile small.net --emit thing
compile small.net --optimize 3
compile wrong.net
train
train wrong.net
train tiny
train missing.net
train small.net --out small.net
train --resume missing
train small.net --repeat 0
train small.net --weights missing.safetensors
train small.net --set train.optimizer.lr=-1
train small.net --data missing --set train.batch=none
train c4k3-FC10 --input 1x8x8
eval
eval missing
eval .
study study.net --list
study small.net
study missing.net
study study.net --list --only IAND
study study.net --list --only nothing
study study.net --list --seeds 0
study table-4 --list
study figure-5 --list
report
report missing
report .
runs
runs missing
runs . --json
runs . --sort data
runs . --sort size
probe rates tiny
probe gradients tiny --json
probe energy tiny --json
probe colours tiny
probe rates wrong.net
probe rates tiny --seed -1
probe rates tiny --on data
probe gradients tiny --batch 2 --batches 2
probe rates missing
export tiny
export tiny c.xyz
export tiny c.py
export tiny c.py --to onnx
export wrong.net c.py
export tiny c.nir --check
export tiny c.py --check
export tiny c.onnx --check
export tiny no/c.py
export tiny c.py --weights missing.pt
export tiny c.py --weights small.net
import
import missing.nir d.net
import small.net d.net
import c.nir d.txt
import c.nir d.net
import c.nir d.net --overwrite
import nowhere:thing d.net --python
import os:getcwd e.net --python
import thing e.net --python
weights convert
weights convert missing.pt f.pt --net tiny
weights convert small.net f.pt --net tiny
weights convert d.safetensors f.xyz --net tiny
weights convert d.safetensors f.pt --net tiny
weights convert d.safetensors f.pt --net 7b-net
weights convert d.safetensors f.pt --net tiny --to torchvision
weights show missing.pt
weights show d.safetensors
weights show d.safetensors --net tiny
weights show d.safetensors --net 7b-net
weights show small.net
serve missing.txt --no-open
serve latin.net --no-open
serve tiny --port x
lsp extra
lsp --port 3
chek tiny
weights
weights shw
--version
--verbose
"""
"""Valid and invalid commands, which run in this order in one folder."""


def helps(_tree: Path) -> Parts:
    """Yield the help of every command."""
    yield "sewdsl", shown("--help") + shown() + shown("-h")
    for command in COMMANDS:
        yield command.replace(" ", "-"), shown(*command.split(), "--help")


def api(_tree: Path) -> Parts:
    """Yield the documentation of the public names, and the members of their objects."""
    # Imported here, since only workers have the checkout on their path.
    package: Any = import_module("sewdsl")
    yield "names", "".join(f"{name}\n" for name in sorted(package.__all__))
    for name in package.__all__:
        yield name, "".join(f"{line}\n" for line in _signatures(name, getattr(package, name)))
    network = package.load("tiny")
    yield "network", f"{network!r}\n{network._repr_html_()}\n"
    compilation = package.read("c4k3-BNIF", input="2x8x8")
    yield (
        "diagnostics",
        "".join(
            f"{each}\n{each.code}, {each.message}, {each.label}, {each.help}, {each.path}\n"
            for each in compilation.diagnostics
        ),
    )
    mistakes: dict[str, Callable[[], Any]] = {
        "nothing": lambda: package.load("c4k3-foo", input="2x8x8"),
        "options": lambda: package.load("c4k3", inputs="2x8x8"),
        "level": lambda: package.compile("tiny", optimize=9),
        "network and options": lambda: package.compile(network, steps=3),
        "shape": lambda: package.compile("tiny")(__import__("torch").zeros(3, 2, 7)),
        "set": lambda: package.load("tiny", set={3: 4}),
    }
    yield "errors", "".join(f"{name}: {_error(each)}\n" for name, each in mistakes.items())


def _signatures(name: str, value: Any) -> Iterator[str]:
    """Yield signatures and summaries of a name and its public members."""
    yield f"{name}{_signature(value)}"
    yield f"    {(inspect.getdoc(value) or '').partition(chr(10))[0]}"
    if inspect.isclass(value):
        for member in sorted(each for each in dir(value) if not each.startswith("_")):
            yield f"  .{member}{_signature(inspect.getattr_static(value, member))}"


def _signature(value: Any) -> str:
    value = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
    try:
        return str(inspect.signature(value))
    except (TypeError, ValueError):
        return ""


def _error(act: Callable[[], object]) -> str:
    try:
        act()
    except Exception as error:  # noqa: BLE001 -- errors are part of the snapshot
        return f"{type(error).__name__}: {error}"
    return "none"


def pages(tree: Path) -> Parts:
    """Yield the pages and lists that the program prints."""
    yield "codes", shown("explain")
    for page in sorted((tree / "docs/codes").glob("*.md")):
        yield page.stem, shown("explain", page.stem)
    yield "nets", shown("nets") + shown("nets", "--kinds")
    yield "net", shown("nets", "tiny") + shown("nets", "blocks") + shown("nets", "tinny")


def exits(_tree: Path) -> Parts:
    """Yield exit codes and output of every command, used correctly and incorrectly."""
    _write(**{"small.net": SMALL, "study.net": STUDY, "wrong.net": WRONG, "latin.net": "sewdsl 1\n# \udce9\n"})
    outputs: dict[str, list[str]] = {}
    for line in USES.strip().splitlines():
        words = line.split()
        outputs.setdefault(words[0].lstrip("-"), []).append(shown(*words, stdin="c4k3-BN"))
    yield from ((name, "\n".join(parts)) for name, parts in outputs.items())


def lsp(_tree: Path) -> Parts:
    """Yield the answers of the language server."""
    _write(**{"lib.net": sessions.LIBRARY})
    yield from ((name, plain(f"{_json(answer)}\n")) for name, answer in sessions.editor(Path.cwd()))


def page(_tree: Path) -> Parts:
    """Yield the answers of the page's server."""
    _write(**{"lib.net": sessions.LIBRARY, "a.net": sessions.NET})
    yield from ((name, plain(f"{_json(answer)}\n")) for name, answer in sessions.browser(Path.cwd()))


def runs(_tree: Path) -> Parts:
    """Yield files and output of a short training, and of commands on its folder."""
    _write(**{"small.net": SMALL})
    steps = {
        "train": ["train", "small.net", "--out", "run"],
        "eval": ["eval", "run"],
        "report": ["report", "run"],
        "runs": ["runs", ".", "--json"],
        "probe": ["probe", "rates", "run", "--json"],
        "again": ["train", "small.net", "--out", "run"],
        "resume": ["train", "--resume", "run"],
        "repeat": ["train", "small.net", "--out", "seeds", "--repeat", "2", "--set", "train.subset=on"],
        "export": ["export", "run", "run.py"],
    }
    for name, arguments in steps.items():
        yield name, _timeless(_process(*arguments))
        if name in {"train", "repeat"}:
            yield from ((f"{name}-{part}", text) for part, text in _folder(Path(arguments[3])))


def study(_tree: Path) -> Parts:
    """Yield files and output of a study with a few variants."""
    _write(**{"small.net": SMALL, "study.net": STUDY})
    yield "train", _timeless(_process("study", "study.net", "--out", "st", "--only", "batch 256"))
    yield from ((f"train-{part}", text) for part, text in _folder(Path("st")))
    probing = STUDY.replace("study {\n", "study {\n    probe rates\n").replace(
        "vary train.batch 128 256", "vary seed 0 1"
    )
    _write(**{"probing.net": probing})
    yield "probe", _timeless(_process("study", "probing.net", "--out", "probed"))
    yield from ((f"probe-{part}", text) for part, text in _folder(Path("probed")))


def package(tree: Path) -> Parts:
    """Yield the entry points and the files of the wheel, except for modules."""
    project = tomllib.loads((tree / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    metadata = {key: project.get(key) for key in ("name", "scripts", "entry-points", "requires-python", "dependencies")}
    yield "entry-points", f"{_json(metadata)}\n"
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(Path.cwd())]
    done = subprocess.run(build, cwd=tree, capture_output=True, text=True, check=False)
    names = [
        name
        for wheel in Path.cwd().glob("*.whl")
        for name in zipfile.ZipFile(wheel).namelist()
        if not re.fullmatch(r"sewdsl/.*\.py", name)
    ]
    yield "wheel", "".join(f"{name}\n" for name in sorted(names)) or plain(done.stdout + done.stderr)


def _folder(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield the file names of a run or a study, and the content of its text files."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    yield "files", "".join(f"{re.sub(r'tfevents.*', 'tfevents', path.as_posix())}\n" for path in files)
    for path in files:
        if path.suffix not in {".json", ".csv", ".md", ".net", ".yaml", ".svg"} and path.name != "report.html":
            continue
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".json":
            text = f"{_json(_lasting(json.loads(text)))}\n"
        if path.suffix == ".html":
            # One element per line keeps differences short.
            text = text.replace("><", ">\n<")
        yield path.as_posix().replace("/", "-"), _timeless(plain(text))


def _lasting(value: Any) -> Any:
    """Return data without values that change from run to run, e.g. times and machines."""
    if isinstance(value, list):
        return [_lasting(each) for each in value]
    if isinstance(value, dict):
        # Keep the type, so that a missing value is noticed.
        volatile = re.compile(r"second|time$|machine|versions|threads|date|pid")
        return {
            key: f"<{type(each).__name__}>" if volatile.search(str(key)) else _lasting(each)
            for key, each in value.items()
        }
    return value


def _timeless(text: str) -> str:
    """Return a text without durations."""
    text = re.sub(r"\b\d+(\.\d+)? (s|ms|min|seconds?|minutes?|h)\b", "<time>", text)
    text = re.sub(r'("seconds": |<dt>seconds</dt>\s*<dd>)[\d.]+', r"\1<time>", text)
    # Tables may have a last column of seconds.
    lines, in_table = [], False
    for line in text.splitlines():
        in_table = bool(line.strip()) and (in_table or re.search(r"\bseconds\W*$", line) is not None)
        lines.append(re.sub(r"\s*[\d.]+( \|)?$", r" <time>\1", line) if in_table else line)
    return "".join(f"{line}\n" for line in lines)


def _process(*arguments: str) -> str:
    """Return the output of a command in a new process: training changes global state."""
    command = [sys.executable, "-m", "sewdsl", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    printed = f"{done.stdout}--- standard error\n{done.stderr}--- exit code {done.returncode}\n"
    return plain(f"$ sewdsl {' '.join(arguments)}\n{printed}")


def _write(**files: str) -> None:
    for name, text in files.items():
        Path(name).write_bytes(text.encode(errors="surrogateescape"))


def _json(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False)


def layouts(_tree: Path) -> Parts:
    """Yield weights converted to the keys of other libraries and back."""
    from . import numbers  # noqa: PLC0415 -- torch takes seconds to import

    for spec, schemes in (("sew-resnet-18", ("authors", "spikingjelly", "torchvision")), ("7b-net", ("authors-dvs",))):
        weights = numbers.saved(spec, Path(f"{spec}.safetensors"))
        parts = []
        for scheme in schemes:
            convert = ["weights", "convert", weights.name, f"{spec}-{scheme}.pt", "--net", spec, "--to", scheme]
            convert_back = ["weights", "convert", f"{spec}-{scheme}.pt", f"{spec}-back.safetensors", "--net", spec]
            show = ["weights", "show", f"{spec}-{scheme}.pt", "--net", spec]
            parts += [shown(*convert), shown(*show), shown(*convert_back), _weights(Path(convert_back[3]))]
        yield spec, "\n".join(parts)


def imports(_tree: Path) -> Parts:
    """Yield imported PyTorch modules and NIR graphs."""
    _write(**{"modules.py": MODULES})
    for name, size in (("plain", "3x16x16"), ("residual", "2x8x8"), ("functions", "2x8x8"), ("unknown", "2x8x8")):
        out = Path(f"{name}.net")
        printed = shown("import", f"modules:{name}", out.name, "--python", "--input", size)
        yield name, printed + _imported(out)
    for name in ("tiny", "mnist5k", "7b-net"):
        out = Path(f"{name}-nir.net")
        printed = shown("export", name, f"{name}.nir") + shown("import", f"{name}.nir", out.name, "--readout", "sum")
        yield (
            f"nir-{name}",
            printed + (out.read_text() + _weights(out.with_suffix(".safetensors")) if out.exists() else ""),
        )


def _imported(file: Path) -> str:
    """Return an imported network, and its weights."""
    return file.read_text(encoding="utf-8") + _weights(file.with_suffix(".safetensors")) if file.exists() else ""


def _weights(file: Path) -> str:
    """Return the content of a weights file."""
    from . import numbers  # noqa: PLC0415 -- torch takes seconds to import

    return "".join(f"{line}\n" for line in numbers.loaded(file))


ASPECTS: dict[str, Callable[[Path], Parts]] = {
    "runs": runs,
    "study": study,
    "exits": exits,
    "lsp": lsp,
    "page": page,
    "layouts": layouts,
    "imports": imports,
    "help": helps,
    "api": api,
    "explain": pages,
    "package": package,
}
