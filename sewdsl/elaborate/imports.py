"""Import of other files of a project: ``use "other.net"``."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from sewdsl.diagnostics import Diagnostic
from sewdsl.elaborate.assembly import Assembly, assemble
from sewdsl.elaborate.text_files import ON_DISK, FileAccess, read_text
from sewdsl.paths import explain, is_link
from sewdsl.reporter import InvalidText, Reporter
from sewdsl.resources import resource_folder
from sewdsl.source import Source, Span
from sewdsl.syntax.parser import parse
from sewdsl.syntax.tree import Use

PROJECT_MARKERS = (".git", "pyproject.toml")
"""Files and folders that mark the top folder of a project."""


def project_folder(file: Path) -> Path:
    """Return the top folder of the project of a file, by default the folder of the file."""
    folder = file.resolve().parent
    return next(
        (above for above in (folder, *folder.parents) if any((above / m).exists() for m in PROJECT_MARKERS)), folder
    )


class Importer:
    """Importer of used files, which reads each file once.

    Args:
        file: Compiled file. None for a layer string, which cannot use files.
        name: Name of the compiled file in messages.
        reporter: Reporter of errors. Its limits bound the nesting of uses.
    """

    def __init__(self, file: Path | None, name: str, reporter: Reporter, reach: FileAccess = ON_DISK) -> None:
        self._reporter, self._limits, self._reach = reporter, reporter.limits, reach
        self._project = (reach.project.resolve() if reach.project else project_folder(file)) if file else None
        self._chain = [(file.resolve(), name)] if file else []
        self._known: dict[Path, Assembly | None] = {}

    def use(self, statement: Use) -> Assembly | None:
        """Return the assembly of a used file, or report an error and return None."""
        span = statement.path.span
        with suppress(InvalidText):
            path = self._resolve(statement.path.text, span)
            if path not in self._known:
                self._known[path] = None  # Report errors of a file once, also if it is used again.
                self._known[path] = self._read(path, span)
            return self._known[path]
        return None

    def _resolve(self, text: str, span: Span) -> Path:
        if self._project is None:
            raise self._refuse("use-not-found", "'use' requires a file", span, "save the network to a .net file")
        try:
            path = Path(os.path.realpath(self._chain[-1][0].parent / text))
        except ValueError:  # The path contains NUL.
            hint = "use a path relative to this file"
            raise self._refuse("use-not-found", f"'{text}' is not a valid path", span, hint) from None
        if Path(text).is_absolute() or not path.is_relative_to(self._project):
            message = f"'{text}' is outside the project folder"
            raise self._refuse("use-outside-project", message, span, "use a relative path inside the project folder")
        if path in [file for file, _ in self._chain]:
            names = " > ".join([*(name for _, name in self._chain), text])
            raise self._refuse("use-cycle", f"circular 'use': {names}", span, "remove one of the 'use' lines")
        if len(self._chain) > self._limits.imports:
            message = f"'use' nested {len(self._chain)} deep exceeds the limit of {self._limits.imports}"
            raise self._refuse("import-too-deep", message, span, "raise the limit with --limit imports=N")
        return path

    def _read(self, path: Path, span: Span) -> Assembly | None:
        name = span.text.strip('"')
        shown = str(Path(self._chain[-1][1]).parent / name)
        # Unsaved text of an editor takes precedence over the file.
        try:
            text: str | Diagnostic | None = self._reach.opened(path)
            if text is None:
                text = read_text(path, name, span, self._limits)
        except OSError as error:
            written = self._chain[-1][0].parent / name
            missing = "no such file" if isinstance(error, FileNotFoundError) else error.strerror
            reason = explain(error, written) if is_link(written) else missing
            hint = "use a path relative to this file"
            if (resource_folder("nets") / name).is_file():
                hint = f"copy the shipped file with 'sewdsl nets {Path(name).stem} > {shown}'"
            raise self._refuse("use-not-found", f"cannot read '{name}': {reason}", span, hint) from None
        if isinstance(text, Diagnostic):
            self._reporter.add(text)
            return None
        document = self._reporter.take(parse(Source(shown, text), self._limits))
        self._chain.append((path, shown))
        try:
            return self._reporter.take(assemble(document, self.use))
        finally:
            self._chain.pop()

    def _refuse(self, code: str, message: str, span: Span, hint: str) -> InvalidText:
        return self._reporter.refuse(code, message, span, help=hint)
