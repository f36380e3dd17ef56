"""``use "other.net"``: other files of the same project."""

from __future__ import annotations

import os
from pathlib import Path

from sewdsl.diagnostics import Diagnostic
from sewdsl.elaborate.assembly import Assembly, assemble
from sewdsl.elaborate.text_files import ON_DISK, FileAccess, read_text
from sewdsl.paths import explain, is_link
from sewdsl.reporter import Reporter
from sewdsl.resources import resource_folder
from sewdsl.source import Source, Span
from sewdsl.syntax.parser import parse
from sewdsl.syntax.tree import Use

PROJECT_MARKERS = (".git", "pyproject.toml")
"""What lies in the top folder of a project."""


def project_folder(file: Path) -> Path:
    """The nearest folder above a file that is the top of a project; else the file's own."""
    folder = file.resolve().parent
    return next(
        (above for above in (folder, *folder.parents) if any((above / m).exists() for m in PROJECT_MARKERS)), folder
    )


class Importer:
    """Reads used files, each once.

    Args:
        file: The file that is compiled; None for a string, which can use nothing.
        name: What diagnostics call it.
        reporter: Gets what is wrong with them, and knows how deep uses may nest.
        reach: Where used files lie, and what counts as their text.
    """

    def __init__(self, file: Path | None, name: str, reporter: Reporter, reach: FileAccess = ON_DISK) -> None:
        self._reporter, self._limits, self._reach = reporter, reporter.limits, reach
        self._project = (reach.project.resolve() if reach.project else project_folder(file)) if file else None
        self._chain = [(file.resolve(), name)] if file else []
        self._known: dict[Path, Assembly | None] = {}

    def use(self, statement: Use) -> Assembly | None:
        """The assembly of a used file; None where it cannot be had, which is reported."""
        span = statement.path.span
        path = self._resolve(statement.path.text, span)
        if path is None:
            return None
        if path not in self._known:
            self._known[path] = self._read(path, span)
        return self._known[path]

    def _resolve(self, text: str, span: Span) -> Path | None:
        if self._project is None:
            self._say("use-not-found", "a string cannot use files", span, "write it to a .net file")
            return None
        try:
            path = Path(os.path.realpath(self._chain[-1][0].parent / text))
        except ValueError:  # a NUL
            self._say("use-not-found", f"'{text}' is no path", span, "the path is relative to the file that uses it")
            return None
        if Path(text).is_absolute() or not path.is_relative_to(self._project):
            self._say(
                "use-outside-project",
                f"'{text}' lies outside the project's folder",
                span,
                "use a relative path inside it",
            )
            return None
        if path in [file for file, _ in self._chain]:
            names = [name for _, name in self._chain]
            self._say(
                "use-cycle", f"files use each other in a circle: {' > '.join([*names, text])}", span, "remove one 'use'"
            )
            return None
        if len(self._chain) > self._limits.imports:
            message = f"uses nest {len(self._chain)} deep, but the limit is {self._limits.imports}"
            self._say("import-too-deep", message, span, "raise it with --limit imports=N")
            return None
        return path

    def _read(self, path: Path, span: Span) -> Assembly | None:
        name = span.text.strip('"')
        shown = str(Path(self._chain[-1][1]).parent / name)
        try:
            text: str | Diagnostic | None = self._reach.opened(path)
            if text is None:
                text = read_text(path, name, span, self._limits)
        except OSError as error:
            written = self._chain[-1][0].parent / name
            missing = "there is no such file" if isinstance(error, FileNotFoundError) else error.strerror
            reason = explain(error, written) if is_link(written) else missing
            hint = "the path is relative to the file that uses it"
            if (resource_folder("nets") / name).is_file():
                hint = f"a file of this name is shipped: 'sewdsl nets {Path(name).stem} > {shown}' writes it there"
            self._say("use-not-found", f"cannot read '{name}': {reason}", span, hint)
            return None
        if isinstance(text, Diagnostic):
            self._reporter.add(text)
            return None
        document = self._reporter.take(parse(Source(shown, text), self._limits))
        self._chain.append((path, shown))
        try:
            return self._reporter.take(assemble(document, self.use))
        finally:
            self._chain.pop()

    def _say(self, code: str, message: str, span: Span, hint: str) -> None:
        self._reporter.report(code, message, span, help=hint)
