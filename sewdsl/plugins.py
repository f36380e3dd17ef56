"""Plugins: packages with entry points, and Python files that the user names.

A broken package causes a warning and is ignored. A broken file is an error, because the user requested it.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import cache
from importlib.machinery import SourceFileLoader
from importlib.metadata import PackageNotFoundError, entry_points, requires, version
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from sewdsl.user_error import UserError


class BrokenPackage(UserWarning):
    """A module of a plugin package cannot be used. The message names the package and the module."""


def installed_version(distribution: str) -> str:
    """Return the version of a distribution, or an empty text if it is not installed."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return ""


def missing_requirements(*extras: str) -> dict[str, str]:
    """Return the requirements of sewdsl that are not installed, by distribution name.

    Args:
        extras: Extras to check. The empty name selects requirements without an extra.
    """
    return {
        name: requirement
        for name, requirement, extra in _requirements()
        if extra in extras and not installed_version(name)
    }


def install_command(requirements: Mapping[str, str]) -> str:
    """Return the command that installs requirements."""
    return " ".join(["pip install", *(f'"{requirement}"' for requirement in requirements.values())])


def missing_package(subject: str, name: str, needed: Mapping[str, str] | None = None) -> str:
    """Return the message about a distribution that is not installed, with the command that installs it.

    Args:
        needed: Requirements to install, by distribution name. None means that of the distribution.
    """
    stated = next((requirement for stated, requirement, _ in _requirements() if stated == name), name)
    command = install_command(needed or {name: stated})
    return f"{subject} requires {name}, which is not installed; install it with:\n  {command}"


def _requirements() -> Iterator[tuple[str, str, str]]:
    """Yield the name, the text and the extra of each requirement of sewdsl, none if sewdsl runs from source."""
    with suppress(PackageNotFoundError):
        for match in filter(None, map(_REQUIREMENT.match, requires("sewdsl") or ())):
            yield match["name"], match["name"] + match["version"].strip(), match["extra"] or ""


DISTRIBUTIONS = {"PIL": "pillow", "lsprotocol": "pygls", "sklearn": "scikit-learn", "yaml": "pyyaml"}
"""Distributions of packages whose import name differs."""
_REQUIREMENT = re.compile(r"(?P<name>[\w.-]+)(?P<version>[^;]*)(?:;.*\bextra *== *['\"](?P<extra>[\w-]+))?")


def announced_modules(group: str) -> Iterator[tuple[str, ModuleType]]:
    """Yield the name of a package and the module, for all modules of a group. Warn about modules that fail to import.

    Args:
        group: Group of entry points. Each entry point names a package or a module.
    """
    for entry in _all_entry_points().select(group=group):
        package = entry.dist.name if entry.dist else entry.name
        root = _try_import(entry.module, package)
        if root is not None:
            yield package, root
            modules = (_try_import(name, package) for name in submodules(root))
            yield from ((package, module) for module in modules if module is not None)


@cache
def _all_entry_points() -> Any:
    # Cached: reading the metadata takes longer than compiling a small network.
    return entry_points()


def warn(package: str, module: str, why: object) -> None:
    """Warn that a module of a package cannot be used."""
    warnings.warn(f"the package '{package}' is broken: {module}: {why}", BrokenPackage, stacklevel=2)


def missing_members(kind: type, variables: Iterable[str] = ()) -> str:
    """Return the abstract methods and class variables that a class lacks, separated by commas."""
    abstract: frozenset[str] = getattr(kind, "__abstractmethods__", frozenset())
    return ", ".join(sorted({*abstract, *(name for name in variables if not hasattr(kind, name))}))


def submodules(package: ModuleType) -> Iterator[str]:
    """Yield the names of all submodules of a package, at any depth."""
    for info in pkgutil.walk_packages(getattr(package, "__path__", ()), f"{package.__name__}.", lambda _: None):
        yield info.name


def _try_import(name: str, package: str) -> ModuleType | None:
    try:
        return importlib.import_module(name)
    except Exception as error:  # noqa: BLE001 -- foreign code can raise anything
        warn(package, name, f"{type(error).__name__}: {error}")
        return None


# --- plugin files ------------------------------------------------------------------------------------------


class PluginError(UserError):
    """A plugin file cannot be used. The message names the file, and its line if there is one."""


class PluginFile(NamedTuple):
    """Imported plugin file."""

    path: Path
    """Absolute path."""
    sha256: str
    """SHA-256 of ``content`` in hexadecimal digits."""
    content: bytes
    """Contents of the file when it was imported."""
    module: ModuleType


REGISTRIES: list[dict[str, type]] = []
"""Registries of classes by name. Classes of a plugin file are removed if it fails or is imported again."""
_FILES: dict[str, PluginFile] = {}
"""Imported plugin files by module name, in the order of import."""


_CHANGES: list[str] = []


def plugin_changes() -> int:
    """Return the number of imports and removals of plugin files, which invalidates caches of kinds."""
    return len(_CHANGES)


def plugin_files() -> tuple[PluginFile, ...]:
    """Return the imported plugin files, in the order of import."""
    return tuple(_FILES.values())


def import_plugin_file(path: Path) -> PluginFile:
    """Import a Python file as a module with the name of the file, again if the file has changed.

    Raises:
        PluginError: If the file cannot be read, is not Python, raises an error, or has the name of another module.
    """
    from hashlib import sha256

    absolute_path = path.absolute()
    try:
        content = absolute_path.read_bytes()
    except OSError as error:
        raise PluginError(f"cannot read the plugin file '{path}': {error.strerror}") from None
    if path.suffix != ".py":
        raise PluginError(f"a plugin file must end with .py, got '{path}'")
    name, digest = path.stem.replace(".", "_"), sha256(content).hexdigest()
    previous = _FILES.get(name)
    if previous is not None and previous.path.samefile(absolute_path) and previous.sha256 == digest:
        return previous
    _check_module_name(name, path, previous)
    if previous is not None:
        forget_plugin_file(previous.module)
    # Appended, so that files next to the plugin can be imported but do not shadow other modules.
    if str(absolute_path.parent) not in sys.path:
        sys.path.append(str(absolute_path.parent))
    spec = spec_from_file_location(name, absolute_path)
    assert spec is not None  # noqa: S101 -- the suffix is .py
    assert isinstance(spec.loader, SourceFileLoader)  # noqa: S101 -- the suffix is .py
    module = sys.modules[name] = module_from_spec(spec)
    try:
        # Run the bytes with the digest: the file may have changed since it was read.
        exec(spec.loader.source_to_code(content, str(absolute_path)), module.__dict__)  # noqa: S102 -- named by the user
    except (Exception, SystemExit) as error:  # noqa: BLE001 -- foreign code can raise anything
        forget_plugin_file(module)
        raise PluginError(describe_failure(path, error)) from None
    except BaseException:
        forget_plugin_file(module)
        raise
    plugin = _FILES[name] = PluginFile(absolute_path, digest, content, module)
    _CHANGES.append(name)
    return plugin


def describe_failure(path: Path, error: BaseException) -> str:
    """Describe an error in a plugin file, as spelled in messages, with the file's innermost line in the traceback."""
    import traceback

    message = traceback.format_exception_only(error)[-1].strip()
    if isinstance(error, SyntaxError) and error.filename == str(path.absolute()):
        return f"'{path}', line {error.lineno}: {message}\n  {(error.text or '').strip()}"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path.absolute())]
    if not frames:
        return f"'{path}': {message}"
    frame = frames[-1]
    position = f"'{path}', line {frame.lineno}{'' if frame.name == '<module>' else f', in {frame.name}'}"
    return f"{position}: {message}\n  {frame.line or ''}"


def failed_plugin(error: BaseException) -> PluginFile | None:
    """Return the innermost plugin file in the traceback of an error, or None."""
    import traceback

    files = {str(file.path): file for file in plugin_files()}
    frames = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
    return next((files[name] for name in reversed(frames) if name in files), None)


def _check_module_name(name: str, path: Path, previous: PluginFile | None) -> None:
    """Raise PluginError if the module of a file would replace another module."""
    if previous is not None:
        if previous.path.samefile(path):
            return
        raise PluginError(f"'{path}' and '{previous.path}' are both imported as '{name}'; rename one of them")
    loaded = sys.modules.get(name)
    origin = getattr(loaded, "__file__", None) or ""
    if origin and Path(origin).is_file() and Path(origin).samefile(path):
        raise PluginError(f"'{path}' is already imported as the module '{name}'")
    if loaded is None and name not in sys.stdlib_module_names:
        origin = getattr(find_spec(name), "origin", None) or ""
        # Ignore other modules of this name on the search path: only installed packages can be expected there.
        if not {"site-packages", "dist-packages"} & {*Path(origin).parts}:
            return
    raise PluginError(f"'{path}' has the name of an existing module, '{name}'; rename the file")


def forget_plugin_file(module: ModuleType) -> None:
    """Remove the module of a plugin file, and its classes from the registries."""
    name = module.__name__
    _FILES.pop(name, None)
    sys.modules.pop(name, None)
    for registry in REGISTRIES:
        for key in [key for key, kind in registry.items() if kind.__module__ == name]:
            del registry[key]
    _CHANGES.append(name)
