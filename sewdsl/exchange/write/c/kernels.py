"""Functions of the generated file, from C files with macros for their types."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from string import Template

FOLDER = Path(__file__).parent / "kernels"


@cache
def read_kernel(name: str) -> str:
    """Return the source of a kernel, without the defaults of its macros."""
    lines = (FOLDER / f"{name}.c").read_text("utf-8").splitlines()
    return "\n".join(line for line in lines if not line.startswith(("#include", "#define"))).strip() + "\n"


@cache
def read_template(name: str) -> str:
    """Return a part of the generated file, with ``$NAME`` for each text to insert."""
    return (FOLDER / name).read_text("utf-8")


def fill_template(name: str, **texts: str) -> str:
    """Return a part of the generated file with its texts."""
    return Template(read_template(name)).substitute(texts).rstrip()


class Kernels:
    """Kernels that a file needs, each once.

    Attributes:
        is_replaced: For kernels that kernels with vectors can replace, whether this applies to all their calls.
    """

    def __init__(self) -> None:
        self._sources: dict[str, str] = {}
        self.is_replaced: dict[str, bool] = {}

    def use(self, kernel: str, suffix: str, fallback: str | None = None, **macros: str) -> str:
        """Return the name of a kernel for some types.

        Args:
            suffix: End of the name, which must state all macros.
            fallback: For a kernel with vectors, the kernel that replaces it in plain C, or empty.
            macros: Replacements of words. A replacement of a macro with arguments is its body, with the parameters as
                in the kernel.
        """
        name = f"{kernel}_{suffix}"
        if name not in self._sources:
            source = re.sub(r"\bNAME(?=\b|_)", name, read_kernel(kernel))
            for macro, text in macros.items():
                source = _expand(source, macro, text)
            # Files contain only lines that some processor compiles.
            source = re.sub(r"^#if 0\b.*\n(.*\n)*?#endif\n", "", source, flags=re.MULTILINE)
            source = re.sub(r"^#if 1\n((.*\n)*?)#endif\n", r"\1", source, flags=re.MULTILINE)
            source = source.replace("#if 1 && ", "#if ")
            # A macro without text leaves an empty line.
            source = re.sub(r"\n +(?=\n)", "", source)
            if fallback is not None:
                plain = f"#else\n#define {name} {fallback}\n" if fallback else ""
                source = f"#if NET_LANES\n{source}{plain}#endif\n"
            self._sources[name] = source
        return name

    @property
    def source(self) -> str:
        """Source of all kernels, in the order of use."""
        # Compilers warn about functions that are not used.
        sources = ((self.is_replaced.get(name), source) for name, source in self._sources.items())
        return "\n".join(f"#if !NET_LANES\n{source}#endif\n" if guard else source for guard, source in sources)


def _expand(source: str, macro: str, text: str) -> str:
    """Replace a word, or the call of a macro whose arguments contain no parentheses."""

    def replace(call: re.Match[str]) -> str:
        expanded = text
        for position, argument in enumerate((call["arguments"] or "").split(",")):
            expanded = expanded.replace(f"${position + 1}", argument.strip())
        return expanded

    return re.sub(rf"\b{macro}\b(?:\((?P<arguments>[^()]*)\))?", replace, source)
