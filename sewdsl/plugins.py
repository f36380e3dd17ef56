"""Code that others add: packages that distributions announce by entry points, and files that a user names.

A package that is broken is warned of, and left out; a file that is broken is an error, since somebody asked for it.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
import warnings
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.machinery import SourceFileLoader
from importlib.metadata import PackageNotFoundError, entry_points, version
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from sewdsl.user_error import UserError


class BrokenPackage(UserWarning):
    """What another distribution announces cannot be used; the message names the package and the module."""


def installed_version(distribution: str) -> str:
    """The version of a distribution; empty where it is not installed, such as a checkout that is run in place."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return ""


def announced_modules(group: str) -> Iterator[tuple[str, ModuleType]]:
    """Yield every module that the packages of a group have, and its package; warn of those that do not import.

    Args:
        group: Of entry points, each of which names a package or a module.
    """
    for entry in _announced().select(group=group):
        package = entry.dist.name if entry.dist else entry.name
        first = _imported(entry.module, package)
        if first is not None:
            yield package, first
            modules = (_imported(name, package) for name in submodules(first))
            yield from ((package, module) for module in modules if module is not None)


@cache
def _announced() -> Any:
    """Entry points of all distributions; to read their metadata takes longer than to compile a small network."""
    return entry_points()


def warn(package: str, module: str, why: object) -> None:
    """Say that a module of a package cannot be used."""
    warnings.warn(f"the package '{package}' is broken: {module}: {why}", BrokenPackage, stacklevel=2)


def missing_members(kind: type, variables: Iterable[str] = ()) -> str:
    """Abstract methods and class variables that a class does not define, side by side; empty: it is whole."""
    abstract: frozenset[str] = getattr(kind, "__abstractmethods__", frozenset())
    return ", ".join(sorted({*abstract, *(each for each in variables if not hasattr(kind, each))}))


def submodules(package: ModuleType) -> Iterator[str]:
    """Yield the names of all modules below a package."""
    for found in pkgutil.walk_packages(getattr(package, "__path__", ()), f"{package.__name__}.", lambda _: None):
        yield found.name


def _imported(name: str, package: str) -> ModuleType | None:
    try:
        return importlib.import_module(name)
    except Exception as error:  # noqa: BLE001 -- whatever the code of others does
        warn(package, name, f"{type(error).__name__}: {error}")
        return None


# --- files that a user names -------------------------------------------------------------------------------


class PluginError(UserError):
    """A plugin file that cannot be used; the message names the file, and the line in it where there is one."""


class PluginFile(NamedTuple):
    """A file of Python that was imported because the user named it.

    Attributes:
        path: The file, absolute.
        sha256: Of what was run, in hexadecimal digits.
        content: The same, byte by byte.
    """

    path: Path
    sha256: str
    content: bytes
    module: ModuleType


REGISTRIES: list[dict[str, type]] = []
"""What classes enter themselves into by name; a file that fails, or is read anew, is taken out of them again."""
_FILES: dict[str, PluginFile] = {}
"""Those imported so far, by the names of their modules, in order."""


_CHANGES: list[str] = []


def plugin_changes() -> int:
    """How often a file was imported or taken out again: what is remembered of the names of kinds ends with each."""
    return len(_CHANGES)


def plugin_files() -> tuple[PluginFile, ...]:
    """Return the files that were imported so far, in order."""
    return tuple(_FILES.values())


def import_plugin_file(path: Path) -> PluginFile:
    """Import a file of Python as a module of its own name; one that has changed since, anew.

    Its folder is searched for modules after all other places, so that the file may import others in it.

    Raises:
        PluginError: it cannot be read, is no Python, raises, or has the name of another module.
    """
    from hashlib import sha256

    where = path.absolute()
    try:
        content = where.read_bytes()
    except OSError as error:
        raise PluginError(f"cannot read the plugin file '{path}': {error.strerror}") from None
    if path.suffix != ".py":
        raise PluginError(f"a plugin file ends with .py, unlike '{path}'")
    name, digest = path.stem.replace(".", "_"), sha256(content).hexdigest()
    before = _FILES.get(name)
    if before is not None and before.path.samefile(where) and before.sha256 == digest:
        return before
    _refuse_taken_name(name, path, before)
    if before is not None:
        forget_plugin_file(before.module)
    if str(where.parent) not in sys.path:
        sys.path.append(str(where.parent))
    spec = spec_from_file_location(name, where)
    assert spec is not None  # noqa: S101 -- of a file that ends with .py
    assert isinstance(spec.loader, SourceFileLoader)  # noqa: S101 -- as above
    module = sys.modules[name] = module_from_spec(spec)
    try:
        exec(spec.loader.source_to_code(content, str(where)), module.__dict__)  # noqa: S102 -- what was asked for
    except (Exception, SystemExit) as error:  # noqa: BLE001 -- whatever the code of others does
        forget_plugin_file(module)
        raise PluginError(describe_failure(path, error)) from None
    except BaseException:
        forget_plugin_file(module)
        raise
    found = _FILES[name] = PluginFile(where, digest, content, module)
    _CHANGES.append(name)
    return found


def describe_failure(path: Path, error: BaseException) -> str:
    """What went wrong in a plugin file: the last of its lines that was reached, and the error.

    Args:
        path: The file, as it is to be named.
    """
    import traceback

    what = traceback.format_exception_only(error)[-1].strip()
    if isinstance(error, SyntaxError) and error.filename == str(path.absolute()):
        return f"'{path}', line {error.lineno}: {what}\n  {(error.text or '').strip()}"
    lines = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path.absolute())]
    if not lines:
        return f"'{path}': {what}"
    line = lines[-1]
    where = f"'{path}', line {line.lineno}{'' if line.name == '<module>' else f', in {line.name}'}"
    return f"{where}: {what}\n  {line.line or ''}"


def failed_plugin(error: BaseException) -> PluginFile | None:
    """Return the plugin file that an error came out of, at any depth below it; None where there is none."""
    import traceback

    files = {str(file.path): file for file in plugin_files()}
    frames = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
    return next((files[name] for name in reversed(frames) if name in files), None)


def _refuse_taken_name(name: str, path: Path, before: PluginFile | None) -> None:
    """Refuse a file whose module would take the place of another one."""
    if before is not None:
        if before.path.samefile(path):
            return
        raise PluginError(f"'{path}' and '{before.path}' are both imported as '{name}': rename one of them")
    known = sys.modules.get(name)
    origin = getattr(known, "__file__", None) or ""
    if origin and Path(origin).is_file() and Path(origin).samefile(path):
        raise PluginError(f"'{path}' is imported already, as the module '{name}': it needs no second time")
    if known is None and name not in sys.stdlib_module_names:
        try:
            origin = getattr(find_spec(name), "origin", None) or ""
        except (ImportError, ValueError):
            origin = ""
        if not {"site-packages", "dist-packages"} & {*Path(origin).parts}:
            return  # what else lies around under this name, nobody has asked for
    raise PluginError(f"'{path}' has the name of a module that Python has already, '{name}': rename the file")


def forget_plugin_file(module: ModuleType) -> None:
    """Remove the module of a file, with the classes that it has entered."""
    name = module.__name__
    _FILES.pop(name, None)
    sys.modules.pop(name, None)
    for registry in REGISTRIES:
        for key in [key for key, kind in registry.items() if kind.__module__ == name]:
            del registry[key]
    _CHANGES.append(name)
