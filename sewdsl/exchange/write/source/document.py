"""Exported Python files: text and execution."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from textwrap import fill, indent, wrap
from typing import TYPE_CHECKING

from sewdsl.exchange.errors import UnsupportedLayer
from sewdsl.exchange.write.source import class_text, loops
from sewdsl.exchange.write.source.comments import Notation
from sewdsl.exchange.write.source.expressions import WIDTH, one_line_prose, string_literal
from sewdsl.exchange.write.source.find_classes import ClassFinder, ClassSpec, Layers
from sewdsl.exchange.write.source.init_statements import init_lines
from sewdsl.exchange.write.source.value_flow import tree
from sewdsl.ir.network import Network
from sewdsl.ir.op import Merge
from sewdsl.ir.settings import InputSetting
from sewdsl.light_dataclass import dataclass

if TYPE_CHECKING:
    from torch import Tensor, nn

    from sewdsl.exchange.write.formats import Outputs
    from sewdsl.lower import SpikingNetwork
    from sewdsl.lower.inputs import Inputs

READOUTS = {
    "mean": ("mean over all time-steps", ".mean(0)"),
    "sum": ("sum over all time-steps", ".sum(0)"),
    "last": ("last time-step", "[-1]"),
}
"""Description and code of each readout."""
HELPERS = {
    "draw_sparse": '''\
def draw_sparse(
    layer: nn.Module,
    density: float,
    std: float | None = None,
    radius: float | None = None,
) -> None:
    """Draw normal weights for a part of the inputs of each output, and 0 for others."""
    rows = layer.weight.data.flatten(1)
    count = round(density * rows.shape[1])
    chosen = torch.rand_like(rows).topk(count, dim=1).indices
    std = std or count**-0.5
    values = torch.randn_like(rows[:, :count]) * std
    values[values == 0] = std
    drawn = torch.zeros_like(rows).scatter_(1, chosen, values)
    if radius is not None:
        largest = torch.linalg.eigvals(drawn.double()).abs().max()
        drawn = drawn.double() * (radius / largest)
    rows.copy_(drawn)
''',
    "keep_zeros": '''\
def keep_zeros(layer: nn.Module) -> None:
    """Keep the weights of a layer at 0 where its buffer weight_mask is 0."""
    layer.register_buffer("weight_mask", (layer.weight != 0).to(layer.weight))
    layer.weight.register_hook(lambda gradient: gradient * layer.weight_mask)

    def mask(layer: nn.Module, _: tuple[Tensor, ...]) -> None:
        layer.weight.data.mul_(layer.weight_mask)

    layer.register_forward_pre_hook(mask)
''',
    "layers": '''\
def layers(**named: nn.Module) -> nn.Sequential:
    """Return a sequence of named layers."""
    return nn.Sequential(OrderedDict(named))
''',
    "repeat": '''\
def repeat(copies: Iterable[nn.Module]) -> nn.Sequential:
    """Return a sequence of copies, numbered from 1."""
    numbered = {str(i): copy for i, copy in enumerate(copies, 1)}
    return nn.Sequential(OrderedDict(numbered))
''',
    "gated": '''\
def gated(x: Tensor, y: Tensor) -> Tensor:
    """Multiply [T, N, C, ...] by [T, N, G, ...] in groups of C / G channels."""
    groups = min(x.shape[2], y.shape[2])
    return (x.unflatten(2, (groups, -1)) * y.unflatten(2, (groups, -1))).flatten(2, 3)
''',
    "attention": '''\
def attention(q: Tensor, k: Tensor, v: Tensor, heads: int, scale: float) -> Tensor:
    """Return (q kT) v * scale per head, without softmax; positions are tokens."""
    size = q.shape[3:]
    q, k, v = (x.flatten(3).unflatten(2, (heads, -1)) for x in (q, k, v))
    y = (v @ k.transpose(-2, -1)) @ q * scale
    return y.flatten(2, 3).unflatten(3, size)
''',
}
STANDARD = {
    "collections": ("OrderedDict",),
    "collections.abc": ("Callable", "Iterable"),
    "functools": ("partial",),
    "typing": ("Any",),
}
TORCH = {"torch": ("Tensor", "nn")}
NAMES = frozenset({"INPUT", "INPUTS", "STEPS", "math", "torch", "model", "parameters", "x", *HELPERS}).union(
    *STANDARD.values(), *TORCH.values()
)
"""Names that every file may use."""
DEMO = """\
if __name__ == "__main__":
    model = {name}()
    x = {random}
    parameters = sum(parameter.numel() for parameter in model.parameters())
{sizes}    print(f"{{parameters:,}} parameters, {{{given}}} to {{{shape}}}")
"""


@dataclass(frozen=True)
class Dialect:
    """Library that exported files are written for."""

    title: str
    """Name of the library: ``plain PyTorch``."""
    layers: Callable[[Network, set[str]], Layers]
    """Returns the layers of a network, given the names in use in the file. Adds the names of classes to them."""
    imports: Mapping[str, tuple[str, ...]]
    """Modules to import besides PyTorch, with the imported names."""
    reserved: frozenset[str]
    """Names that blocks must not have."""
    ready: Sequence[str] = ()
    """Statements at the end of the constructor."""
    begin: Sequence[str] = ()
    """Statements at the beginning of ``forward``."""
    reset: str = ""
    """Statement that resets the state of the module ``{}``, for libraries that keep states between calls."""

    def source(self, network: Network, inputs: str = "") -> str:
        """Return a Python file that defines a network.

        Equal networks give equal files. The class of the network is the last one in the file. Its ``state_dict`` has
        the keys of the compiled network.

        Args:
            inputs: Description of the input scaling. Empty if unknown.

        Raises:
            UnsupportedLayer: If the library has no such layer, neuron, surrogate or join, or if values do not flow
                along the structure of the names.
        """
        for node in network:
            if isinstance(node.op, Merge) and not (class_text.has_formula(node.op) or node.op.has_module):
                raise UnsupportedLayer(
                    node,
                    "is a merge without a formula for Python files; "
                    "add its formula to FORMULAS of sewdsl.exchange.write.source.class_text",
                )
        taken = {*NAMES, *self.reserved, *loops.NAMES}
        layers = self.layers(network, taken)
        *blocks, root = ClassFinder(network, tree(network, taken), layers, taken).classes
        classes = [
            *("\n".join([*class_text.class_text(spec, network), ""]) for spec in blocks),
            _root(root, network, self),
        ]
        # Find the helpers in use from the code itself, and then the imports from code and helpers.
        parts = [*layers.definitions(), *classes]
        used = _used(parts)
        parts = [*layers.definitions(), *(helper for name, helper in HELPERS.items() if name in used), *classes]
        settings = network.settings
        call, input_sizes, random = "model(x)", "list(x.shape)", _random(settings.sources[0])
        sizes = ""
        constants = f"STEPS = {settings.steps}\nINPUT = {settings.input!r}\n"
        if settings.inputs:
            call, input_sizes = "model(**x)", "inputs"
            random = "{name: torch.rand(STEPS, 2, *shape) for name, shape in INPUTS.items()}"
            if any(source.of for source in settings.inputs):
                random = "\n".join(["{", *(f"        {_random(source)}," for source in settings.inputs), "    }"])
            sizes += "    inputs = {name: list(each.shape) for name, each in x.items()}\n"
            shapes = [f"    {string_literal(source.name)}: {source.shape!r}," for source in settings.inputs]
            constants = "\n".join([f"STEPS = {settings.steps}", "INPUTS = {", *shapes, "}", ""])
        shape = "outputs" if network.outputs else f"list({call}.shape)"
        if network.outputs:
            sizes += f"    outputs = {{name: list(y.shape) for name, y in {call}.items()}}\n"
        parts.append(DEMO.format(name=root.name, shape=shape, given=input_sizes, random=random, sizes=sizes))
        header = "\n".join([*_head(network, self, inputs), "", *_imports(_used(parts), self), "", constants])
        return "\n\n".join([header, *parts])

    def write(self, model: SpikingNetwork, inputs: str) -> bytes:
        """Return the file of a module's network, see :meth:`source`."""
        return self.source(model.network, inputs).encode()


def _random(source: InputSetting) -> str:
    """Return the code of a random input, as an entry of a dictionary if it has a name."""
    key = string_literal(source.name)
    shape = f"INPUTS[{key}]" if source.name else "INPUT"
    code = f"torch.rand(STEPS, 2, *{shape})"
    if source.of is not None:
        code = f"torch.randint({source.of}, (STEPS, 2, *{shape})).float()"
    return f"{key}: {code}" if source.name else code


def _used(parts: Iterable[str]) -> set[str]:
    """Return all names in code, ignoring comments and strings."""
    return {node.id for part in parts for node in ast.walk(ast.parse(part)) if isinstance(node, ast.Name)}


def _imports(used: set[str], dialect: Dialect) -> list[str]:
    lines = ["from __future__ import annotations", ""]
    lines += [f"import {name}" for name in ("math",) if name in used]
    standard = _from_imports(STANDARD, used)
    return [
        *lines,
        *standard,
        *([""] if standard or "math" in used else []),
        "import torch",
        *_from_imports({**dialect.imports, **TORCH}, used),
    ]


def _from_imports(modules: dict[str, tuple[str, ...]], used: set[str]) -> list[str]:
    taken = {module: [name for name in names if name in used] for module, names in sorted(modules.items())}
    return [f"from {module} import {', '.join(names)}" for module, names in taken.items() if names]


def _head(network: Network, dialect: Dialect, inputs: str) -> list[str]:
    notation = Notation(network)
    origin = f" from {notation.file}" if notation.file else ""
    lines = [f'"""{_title(network)} in {dialect.title}, written by sewdsl{origin}.']
    if body := notation.body():
        lines += ["", "In layer notation::", "", *(f"    {line}" for line in body)]
    if inputs:
        lines += ["", *wrap(f"Inputs: {one_line_prose(inputs)}.", WIDTH)]
    lines += ["", "Weights have the same names and shapes as in sewdsl. Load a weights file with", ""]
    return [*lines, '    model.load_state_dict(safetensors.torch.load_file("net.safetensors"))', '"""']


def _title(network: Network) -> str:
    return one_line_prose(network.name) or "A network"


def _root(spec: ClassSpec, network: Network, dialect: Dialect) -> str:
    settings = network.settings
    variables = [source.name or "x" for source in settings.sources]
    parameters = ", ".join(f"{variable}: Tensor" for variable in variables)
    input_shape, output_shape = spec.shapes
    static_shape = input_shape.replace("[T, N", "[N")
    description, readout = READOUTS[settings.readout]
    annotation, output, result = "Tensor", "output", f"self.sequence({', '.join(variables)}){readout}"
    if network.outputs:
        sizes = (f"{name} [N, {', '.join(map(str, network.nodes[i].output.shape))}]" for name, i in network.outputs)
        output_shape, annotation, output = ", ".join(sizes), "dict[str, Tensor]", "outputs"
        result = f"{{name: y{readout} for name, y in self.sequence({', '.join(variables)}).items()}}"
    lines = [
        f"class {spec.name}(nn.Module):",
        f'    """{_title(network)}.',
        "",
        "    Args:",
        "        steps: Number of time-steps for an input without a time axis.",
        "",
        f"    Shape: {input_shape}, or {static_shape},",
        *indent(fill(f"to {output_shape.replace('[T, N', '[N')}, {description}.", WIDTH - 4), "    ").splitlines(),
        '    """',
        "",
        "    def __init__(self, steps: int = STEPS) -> None:",
        "        super().__init__()",
        "        self.steps = steps",
        *class_text.init_statements(spec, network),
        *init_lines(network),
        *(f"        {line}" for line in dialect.ready),
        "",
        f"    def forward(self, {parameters}) -> {annotation}:",
        f'        """Return the {output}: {description}."""',
        *(f"        {line}" for line in dialect.begin),
        *(line for source in settings.sources for line in _expansion(source)),
        f"        return {result}",
        "",
        f"    def sequence(self, {parameters}) -> {annotation}:",
        f'        """Return the {output} of every time-step."""',
        *class_text.forward_statements(spec, network, dialect.reset),
        "",
    ]
    return "\n".join(lines)


def _expansion(source: InputSetting) -> Iterator[str]:
    """Yield the statements that repeat a static input."""
    x, shape = source.name or "x", f"INPUTS[{string_literal(source.name)}]" if source.name else "INPUT"
    yield f"        if {x}.ndim == len({shape}) + 1:  # no time axis"
    yield f"            {x} = {x}.expand(self.steps, *{x}.shape)"


def module_from_source(text: str) -> nn.Module:
    """Execute a file and return an instance of its last class, the network."""
    # With another name than __main__, the example at the end of the file does not run.
    namespace: dict[str, object] = {"__name__": "net"}
    exec(compile(text, "net.py", "exec"), namespace)  # noqa: S102 -- the text was generated by sewdsl
    module: nn.Module = [value for value in namespace.values() if isinstance(value, type)][-1]()
    return module


def run_source(data: bytes, x: Inputs, weights: Mapping[str, Tensor]) -> Outputs:
    """Run an exported network with the given weights, in the dtype of the input, and return its outputs."""
    named = x if isinstance(x, Mapping) else {"x": x}
    model = module_from_source(data.decode()).to(next(iter(named.values())).dtype).eval()
    model.load_state_dict(dict(weights))
    y: Outputs = model(**named)
    return y
