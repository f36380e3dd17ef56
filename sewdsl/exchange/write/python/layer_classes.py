"""Class definitions of layers in exported files, taken from the runtime or derived from library layers."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files

from sewdsl.exchange.write.source import loops

SHAPE_SUFFIX = re.compile(r"(?<=[a-z])_T?N\b")
LINTER_COMMENT = re.compile(r"  # (?:noqa|type): .*")
WITHOUT = frozenset({"extra_repr", "normalised"})
"""Methods that files omit: for printing, or called by fused kernels only."""

ALL_STEPS = '        """Process all time-steps."""'
"""Docstring of a ``forward`` without one in the runtime."""


@cache
def _classes(module: str) -> tuple[tuple[str, ...], dict[str, ast.ClassDef]]:
    """Return the lines of a module without shape suffixes and linter comments, and its classes by name."""
    text = files("sewdsl.snn").joinpath(f"{module}.py").read_text("utf-8")  # An import would also import PyTorch.
    lines = [SHAPE_SUFFIX.sub("", LINTER_COMMENT.sub("", line)).replace("``", "") for line in text.splitlines()]
    statements = ast.parse("\n".join(lines)).body
    return tuple(lines), {node.name: node for node in statements if isinstance(node, ast.ClassDef)}


def runtime_class(module: str, name: str) -> str:
    """Return a class of :mod:`sewdsl.snn` as text for exported files.

    Shape suffixes, linter comments, the methods :data:`WITHOUT` and the docstring after its first line are omitted.

    Args:
        module: Module of the class: ``layers``. The class may refer to classes of this module only.
    """
    lines, classes = _classes(module)
    definition = classes[name]
    summary = (ast.get_docstring(definition) or "").partition("\n")[0]
    text = [lines[definition.lineno - 1], f'    """{summary}"""']
    for method in definition.body:
        if isinstance(method, ast.FunctionDef) and method.name not in WITHOUT:
            # A decorator belongs to the text of its method.
            first_line = method.decorator_list[0].lineno if method.decorator_list else method.lineno
            body_line = method.body[0].lineno - 1
            has_docstring = method.name != "forward" or ast.get_docstring(method) is not None
            text += [
                "",
                *lines[first_line - 1 : body_line],
                *([] if has_docstring else [ALL_STEPS]),
                *lines[body_line : method.end_lineno],
            ]
    return "\n".join([*text, ""])


NORMALISE = """\
    def _normalise(self, x: Tensor) -> Tensor:
        if self.training:
            self.num_batches_tracked.add_(1)
        return nn.functional.batch_norm(
            x,
            self.running_mean,
            self.running_var,
            {weight},
            self.bias,
            self.training,
            self.momentum,
            self.eps,
        )
"""
TD_BATCH_NORM = '''\
class TdBatchNorm2d({base}):
    """Threshold-dependent batch norm (tdBN, Zheng et al. 2021).

    {formula}

    Args:
        channels: Number of channels.
        scale: alpha times the threshold of the following neurons.
        eps: Added to the variance.
        momentum: Weight of the current batch in the running statistics.
        weight: Initial weight of the channels.
    """

    def __init__(
        self,
        channels: int,
        scale: float = 1.0,
        eps: float = 1e-5,
        momentum: float = 0.1,
        weight: float = 1.0,
    ) -> None:
        super().__init__(channels, eps, momentum)
        nn.init.constant_(self.weight, weight)
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        """Process all time-steps."""
        return each_step(self._normalise, x)

'''
STEP_SCALED_NORM = '''\
class StepScaledBatchNorm({base}):
    """Batch norm with a weight for each time-step (TEBN, Duan et al. 2022)."""

    def __init__(
        self,
        channels: int,
        steps: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
    ) -> None:
        super().__init__(channels, eps, momentum)
        self.step_weight = nn.Parameter(torch.ones(steps))

    def forward(self, x: Tensor) -> Tensor:
        """Process all time-steps."""
        y = each_step(self._normalise, x)
        return y * self.step_weight.reshape(-1, *[1] * (x.ndim - 1))

'''
LOOPED_STEP_SCALED_NORM = (
    ("StepScaledBatchNorm(", "StepScaledBatchNorm(Memory, "),
    (
        "        return y * self.step_weight.reshape(-1, *[1] * (x.ndim - 1))\n",
        """\
        weight = self.step_weight[self.loop_time :][: len(x)]
        self.keep_state()
        return y * weight.reshape(-1, *[1] * (x.ndim - 1))
""",
    ),
)
"""Replacements in a file with loops, where every call processes one time-step with its own weight."""
STEP_NORM = '''\
class StepBatchNorm(nn.Module):
    """Batch norm with statistics and weights of each time-step (BNTT), or of all so far (TAB)."""

    def __init__(
        self,
        channels: int,
        steps: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        *,
        accumulate: bool = False,
    ) -> None:
        super().__init__()
        self.eps, self.momentum, self.accumulate = eps, momentum, accumulate
        self.weight = nn.Parameter(torch.ones(steps, channels))
        self.register_parameter("bias", None)
        self.register_parameter("step_weight", None)
        if accumulate:
            self.bias = nn.Parameter(torch.zeros(steps, channels))
            self.step_weight = nn.Parameter(torch.ones(steps))
        self.register_buffer("running_mean", torch.zeros(steps, channels))
        self.register_buffer("running_var", torch.ones(steps, channels))
        self.register_buffer("num_batches_tracked", torch.tensor(0))

    def forward(self, x: Tensor) -> Tensor:
        """Process all time-steps."""
        first = 0
        outputs = []
        if self.training:
            self.num_batches_tracked.add_(1)
        for index in range(len(x)):
            t = first + index
            start = 0 if self.accumulate and self.training else index
            y = nn.functional.batch_norm(
                x[start : index + 1].flatten(0, 1),
                self.running_mean[t],
                self.running_var[t],
                self.weight[t],
                None if self.bias is None else self.bias[t],
                self.training,
                self.momentum,
                self.eps,
            )
            y = y[-x.shape[1] :]
            if self.step_weight is not None:
                y = y * self.step_weight[t] ** 2
            outputs.append(y)
        return torch.stack(outputs)
'''
LOOPED_STEP_NORM = (
    ("(nn.Module):", "(Memory):"),
    ("        first = 0\n", "        first = self.loop_time\n"),
    ("        return torch.stack(outputs)\n", "        self.keep_state()\n        return torch.stack(outputs)\n"),
)
"""Replacements in a file with loops, where every call processes one time-step with its own weights."""
WEIGHTED = '''\
class Weighted{name}({base}.{name}):
    """Batch norm with another initial weight than 1."""

    def __init__(
        self,
        channels: int,
        weight: float,
        eps: float = 1e-5,
        momentum: float = 0.1,
    ) -> None:
        super().__init__(channels, eps, momentum)
        nn.init.constant_(self.weight, weight)
'''
NORMS = "BatchNorm1d", "BatchNorm2d"


def norm_texts(library: str, formula: str) -> dict[str, str]:
    """Return the classes of tdBN and TEBN by name.

    Args:
        library: Module of the base classes: ``nn`` or ``layer``.
        formula: Formula of tdBN for the docstring.
    """
    base = f"{library}.BatchNorm2d"
    return {
        "TdBatchNorm2d": TD_BATCH_NORM.format(base=base, formula=formula)
        + NORMALISE.format(weight="self.weight * self.scale"),
        "StepScaledBatchNorm": STEP_SCALED_NORM.format(base=base) + NORMALISE.format(weight="self.weight"),
    }


def weighted_norm_texts(library: str, forward: str = "") -> dict[str, str]:
    """Return the classes of batch norms with another initial weight than 1, by name.

    Args:
        forward: Text of ``forward``. Empty to inherit it.
    """
    return {f"Weighted{name}": WEIGHTED.format(name=name, base=library) + forward for name in NORMS}


ONCE = '''\
class Once{name}({base}):
    """Batch norm of a value that is equal at all time-steps, which counts each sample once."""

    def forward(self, x: Tensor) -> Tensor:
        """Process one time-step, and repeat it."""
        return super().forward(x[:1]).expand_as(x)
'''


def once_texts(library: str = "") -> dict[str, str]:
    """Return the classes of batch norms after a reduction over time, by name.

    Args:
        library: Module of the classes of :data:`NORMS`. Empty: the file defines them.
    """
    bases = dict.fromkeys(NORMS, library) | {f"Weighted{name}": "" for name in NORMS} | {"TdBatchNorm2d": ""}
    return {f"Once{n}": ONCE.format(name=n, base=f"{base}.{n}".lstrip(".")) for n, base in bases.items()}


EACH_STEP = '''\
def each_step(layer: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Apply a layer to all time-steps, [T, N, *], as one batch of T * N samples."""
    return layer(x.flatten(0, 1)).unflatten(0, x.shape[:2])
'''
STEPWISE = '''
    def forward(self, x: Tensor) -> Tensor:
        """Process all time-steps."""
        return each_step(super().forward, x)
'''


def _wrapped(**meanings: str) -> dict[str, str]:
    """Return classes that apply a PyTorch layer of the same name to all time-steps."""
    return {name: f'class {name}(nn.{name}):\n    """{what}"""\n{STEPWISE}' for name, what in meanings.items()}


SAME = "[T, N, C, H, W]"
ROWS = "[T, N, C, L]"
REDUCTION = '''\
class {name}(nn.Module):
    """Reduction by {what} over the channels of each group; None: over all positions."""

    def __init__(self, groups: int | None) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, x: Tensor) -> Tensor:
        """Process all time-steps."""
        if self.groups is None:
            return x.{what}(tuple(range(3, x.ndim)), keepdim=True)
        return x.unflatten(2, (self.groups, -1)).{what}(3)
'''
REDUCTIONS = {
    name: REDUCTION.format(name=name, what=what)
    for name, what in (("Sum", "sum"), ("Mean", "mean"), ("Largest", "amax"))
}
OVER_TIME = {
    f"Time{name}": f'''\
class Time{name}(nn.Module):
    """{name} over the time-steps, as the value of every time-step."""

    def forward(self, x: Tensor) -> Tensor:
        """Process all time-steps."""
        return x.{name.lower()}(0).expand_as(x)
'''
    for name in ("Sum", "Mean")
}
OVER_TIME["TimeSlice"] = '''\
class TimeSlice(nn.Module):
    """One time-step, as the value of every time-step."""

    def __init__(self, index: int) -> None:
        super().__init__()
        self.index = index

    def forward(self, x: Tensor) -> Tensor:
        """Process all time-steps."""
        return x[self.index].expand_as(x)
'''
DROPPING = '''\
class {name}(nn.Module):
    """{what}"""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """Process all time-steps."""
        if not self.training:
            return x
        return x * nn.functional.dropout({mask}, self.p)
'''
LINEAR = '''\
class Linear({library}.Linear):
    """Linear layer on flattened feature maps: [T, N, *] to [T, N, F]."""

    def forward(self, x: Tensor) -> Tensor:
        """Process all time-steps."""
        return super().forward(x.flatten(2))
'''
STEP_POSITION = '''\
class StepPosition(nn.Module):
    """Addition of a learned number for each channel and time-step: [T, N, C, *], unchanged."""

    def __init__(self, channels: int, steps: int) -> None:
        super().__init__()
        initial = nn.init.normal_(torch.empty(steps, channels), std=0.02)
        self.weight = nn.Parameter(initial)

    def forward(self, x: Tensor) -> Tensor:
        """Process all time-steps."""
        weight = self.weight
        return x + weight.reshape(len(weight), 1, -1, *[1] * (x.ndim - 3))
'''
LOOPED_STEP_POSITION = (
    ("(nn.Module):", "(Memory):"),
    (
        "        weight = self.weight\n",
        """\
        weight = self.weight[self.loop_time :][: len(x)]
        self.keep_state()
""",
    ),
)
"""Replacements in a file with loops, where every call processes one time-step with its own numbers."""
LOOPED_DROPPING = (
    ("(nn.Module):", "(Memory):"),
    ("        return x * nn.functional.dropout(", "        ones = "),
    (
        ", self.p)\n",
        """
        mask = self.loop_state[0] if self.loop_state else None
        if mask is None:
            mask = nn.functional.dropout(ones, self.p)
        self.keep_state(mask)
        return x * mask
""",
    ),
)
TIME_FILTERS = {
    "TimeFilter": '''\
class TimeFilter(nn.Module):
    """Filter of each channel along time, with zeros before the first time-step: [T, N, C, *], unchanged."""

    def __init__(self, channels: int, taps: int, dilation: int = 1) -> None:
        super().__init__()
        self.taps, self.dilation = taps, dilation
        initial = torch.empty(channels, taps).uniform_(-1, 1)
        self.weight = nn.Parameter(initial / taps**0.5)

    def forward(self, x: Tensor) -> Tensor:
        """Process all time-steps."""
        before = (self.taps - 1) * self.dilation
        padding = x.new_zeros(before, *x.shape[1:])
        window = torch.cat((padding, x))
        y = torch.zeros_like(x)
        for tap, factors in enumerate(self.weight.unbind(1)):
            start = before - tap * self.dilation
            shape = -1, *[1] * (x.ndim - 3)
            y = y + factors.reshape(shape) * window[start :][: len(x)]
        return y
''',
    "DelayedLinear": '''\
class DelayedLinear(nn.Module):
    """Linear layer with a learned delay of each synapse (Hammouamri et al. 2024): [T, N, *] to [T, N, F].

    Clamp delays to 0 .. reach - 1 after each optimizer step, and reduce width during training.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        reach: int,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.reach = reach
        initial = nn.Linear(in_features, out_features, bias)
        self.weight, self.bias = initial.weight, initial.bias
        delay = torch.empty(out_features, in_features)
        self.delay = nn.Parameter(delay.uniform_(0, reach - 1))
        self.register_buffer("width", torch.tensor(reach / 2))

    def forward(self, x: Tensor) -> Tensor:
        """Process all time-steps."""
        padding = x.new_zeros(self.reach - 1, *x.shape[1:])
        window = torch.cat((padding, x)).flatten(2).permute(1, 2, 0)
        kernel = self.kernel().flip(-1)
        y = nn.functional.conv1d(window, kernel, self.bias)
        return y.permute(2, 0, 1)

    def kernel(self) -> Tensor:
        """Return the weights along time: rounded delays in evaluation, Gaussians in training."""
        delay = self.delay.clamp(0, self.reach - 1)[..., None]
        lags = torch.arange(self.reach, device=delay.device, dtype=delay.dtype)
        if not self.training:
            return self.weight[..., None] * (lags == delay.round())
        g = torch.exp(-0.5 * ((lags - delay) / self.width) ** 2)
        return self.weight[..., None] * g / (g.sum(-1, keepdim=True) + 1e-7)
''',
}
"""Filters along time, which read a past."""
LOOPED_TIME_FILTER = (
    ("(nn.Module):", "(Memory):"),
    ("        padding = x.new_zeros(", "        zeros = x.new_zeros("),
    (
        "        window = torch.cat((padding, x))",
        """\
        padding = self.loop_state[0] if self.loop_state else zeros
        self.keep_state(torch.cat((padding, x))[len(x) :])
        window = torch.cat((padding, x))""",
    ),
)
LOOPED = {
    "TimeFilter": LOOPED_TIME_FILTER,
    "DelayedLinear": LOOPED_TIME_FILTER,
    "Dropout": LOOPED_DROPPING,
    "DropPath": LOOPED_DROPPING,
    "StepScaledBatchNorm": LOOPED_STEP_SCALED_NORM,
    "StepPosition": LOOPED_STEP_POSITION,
    "StepBatchNorm": LOOPED_STEP_NORM,
}
"""Replacements in a file with loops by class, e.g. to use one dropout mask for all time-steps."""
ATTENTION = '''\
class TokenProduct(nn.Module):
    """Scaled product of tokens, the positions of [T, N, C, *], in heads and in chunks of time-steps."""

    def __init__(
        self,
        heads: int,
        scale: float | str,
        terms: int,
        chunk: int = 1,
        causal: str | None = None,
    ) -> None:
        super().__init__()
        self.heads, self.scale, self.terms = heads, scale, terms
        self.chunk, self.causal = chunk, causal
        if scale == "rate":
            self.register_buffer("rate", torch.zeros(heads))

    def split(self, x: Tensor) -> Tensor:
        """Return the heads, [T / chunk, N, heads, C / heads, chunk * positions]."""
        x = x.flatten(3).unflatten(2, (self.heads, -1)).unflatten(0, (-1, self.chunk))
        return x.permute(0, 2, 3, 4, 1, 5).flatten(4)

    def scaled(self, y: Tensor, x: Tensor) -> Tensor:
        """Return the scaled map of heads, with the positions of the first operand x."""
        if self.training and self.scale == "rate":
            size = x.detach().abs().unflatten(2, (self.heads, -1))
            mean = size.flatten(4).mean((0, 1, 3, 4))
            running = 0.999 * self.rate + (1 - 0.999) * mean
            silent = 1e-9
            rate = torch.where(self.rate <= silent, mean, running)
            self.rate.copy_(rate.clamp(min=silent))
        scale = self.scale
        if scale == "rate":
            scale = (self.rate * self.terms).rsqrt()[:, None, None]
        y = (y * scale).unflatten(4, (self.chunk, -1)).permute(0, 4, 1, 2, 3, 5)
        return y.flatten(0, 1).flatten(2, 3).unflatten(3, x.shape[3:])

    def masked(self, scores: Tensor, x: Tensor) -> Tensor:
        """Return scores without those of later keys; x has the positions of the queries."""
        if self.causal is None:
            return scores
        sizes = scores.shape[-2:]
        keys, queries = (torch.arange(size, device=x.device) for size in sizes)
        key, positions = keys[:, None], x.shape[3:].numel()
        later = key % positions > queries % positions
        if self.causal == "time":
            later = key // (len(keys) // self.chunk) > queries // positions
        return scores.masked_fill(later, 0)
'''
ATTENTION_TEXTS = {
    "Scores": '''\
class Scores(TokenProduct):
    """Scores of queries and keys: [T, N, C, *] and [T, N, C, *] to [T, N, heads * chunk * keys, *]."""

    def forward(self, q: Tensor, k: Tensor) -> Tensor:
        """Process all time-steps."""
        return self.scaled(self.split(k).mT @ self.split(q), q)
''',
    "Apply": '''\
class Apply(TokenProduct):
    """Values weighted by scores: [T, N, heads * chunk * keys, *] and [T, N, D, *] to [T, N, D, *]."""

    def forward(self, a: Tensor, v: Tensor) -> Tensor:
        """Process all time-steps."""
        return self.scaled(self.split(v) @ self.masked(self.split(a), a), a)
''',
    "Attention": '''\
class Attention(TokenProduct):
    """Attention without softmax: [T, N, C, *], [T, N, C, *] and [T, N, D, *] to [T, N, D, *]."""

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Process all time-steps."""
        scores = self.masked(self.split(k).mT @ self.split(q), q)
        return self.scaled(self.split(v) @ scores, q)
''',
}
LAYER_TEXTS = {
    **TIME_FILTERS,
    **REDUCTIONS,
    **OVER_TIME,
    **ATTENTION_TEXTS,
    "Softmax": runtime_class("attention", "Softmax"),
    "LayerNorm": runtime_class("layers", "LayerNorm"),
    "StepBatchNorm": STEP_NORM,
    "RMSNorm": runtime_class("layers", "RMSNorm"),
    "Reshaping": runtime_class("layers", "Reshaping"),
    "Slicing": runtime_class("layers", "Slicing"),
    "FourierTransform": runtime_class("layers", "FourierTransform"),
    **_wrapped(
        **dict.fromkeys(
            ("ZeroPad1d", "ZeroPad2d", "ReflectionPad1d", "ReflectionPad2d"),
            "Padding of each time-step: [T, N, C, *], with longer axes.",
        ),
        PReLU="max(x, 0) + weight * min(x, 0), with a weight per channel: [T, N, C, *], unchanged.",
    ),
    "Embedding": runtime_class("tokens", "Embedding"),
    "Tokens": runtime_class("tokens", "Tokens"),
    "Exchange": runtime_class("tokens", "Exchange"),
    "Position": runtime_class("tokens", "Position"),
    "StepPosition": STEP_POSITION,
    "GlobalAvgPool": runtime_class("pooling", "GlobalAvgPool"),
    "Scale": runtime_class("layers", "Scale"),
    "ChannelScale": runtime_class("layers", "ChannelScale"),
    "StepDropout": DROPPING.format(
        name="StepDropout", what="Dropout with a mask for each time-step: [T, N, *].", mask="x.new_ones(x.shape)"
    ),
    "DropPath": DROPPING.format(
        name="DropPath",
        what="Drop path: zeroes whole samples in training, at all time-steps: [T, N, *].",
        mask="x.new_ones(x.shape[1], *[1] * (x.ndim - 2))",
    ),
}
"""Class definitions that are also used with SpikingJelly."""


SHARED = runtime_class("sequence_attention", "SharedLayers")
SHARED_BY = ("TemporalAttention", "ChannelAttention")
"""Classes with the base class :data:`SHARED`."""
SEQUENCE_TEXTS = {
    name: runtime_class("sequence_attention", name)
    for name in (*SHARED_BY, "SpatialAttention", "TemporalChannelAttention")
}
TEXTS = {
    **LAYER_TEXTS,
    **_wrapped(
        ConvTranspose2d=f"Transposed convolution of each time-step: {SAME} to [T, N, C', H', W'].",
        ConvTranspose1d=f"Transposed convolution of each time-step: {ROWS} to [T, N, C', L'].",
        Upsample="Upsampling of each time-step: [T, N, C, *], lengths times the factor.",
        GroupNorm="Group norm of each time-step: [T, N, C, *], unchanged.",
        Conv2d=f"Convolution of each time-step: {SAME} to [T, N, C', H', W'].",
        Conv1d=f"Convolution of each time-step: {ROWS} to [T, N, C', L'].",
        BatchNorm2d=f"Batch norm of {SAME}, over T, N, H and W jointly.",
        BatchNorm1d="Batch norm of [T, N, C, *], over all axes except the channels.",
    ),
    **norm_texts("nn", "weight * scale * (x - mean) / sqrt(var + eps) + bias, with statistics per channel."),
    **SEQUENCE_TEXTS,
    **weighted_norm_texts("nn", STEPWISE),
    **_wrapped(
        MaxPool2d=f"Maximum of each window: {SAME} to [T, N, C, H', W'].",
        AvgPool2d=f"Mean of each window: {SAME} to [T, N, C, H', W'].",
        MaxPool1d=f"Maximum of each window: {ROWS} to [T, N, C, L'].",
        AvgPool1d=f"Mean of each window: {ROWS} to [T, N, C, L'].",
    ),
    "VotingPool": runtime_class("pooling", "VotingPool"),
    "Linear": LINEAR.format(library="nn"),
    "Dropout": DROPPING.format(
        name="Dropout", what="Dropout with one mask for all time-steps of a sample.", mask="torch.ones_like(x[0])"
    ),
    **once_texts(),
}
"""Class definitions by name, in the order of the file."""


def layer_definitions(texts: Mapping[str, str], used: set[str], reset: Sequence[str], *, looped: bool) -> list[str]:
    """Return the classes of the layers that a file uses, in the order of ``texts``.

    See :func:`loops.definitions`.
    """
    used = used | {name.removeprefix("Once") for name in used}
    shared = [text for text, names in ((SHARED, SHARED_BY), (ATTENTION, ATTENTION_TEXTS)) if used & {*names}]
    layers = []
    for name in filter(used.__contains__, texts):
        text = texts[name]
        # In a loop, every call processes one time-step, which some layers must know.
        for old, new in LOOPED.get(name, ()) if looped else ():
            text = text.replace(old, new)
        layers.append(text)
    helper = [EACH_STEP] if any("each_step(" in text for text in layers) else []
    return [*helper, *shared, *loops.definitions(used, reset, looped=looped), *layers]
