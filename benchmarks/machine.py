"""Machine and versions of a measurement."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("torch", "numpy", "numba", "triton", "spikingjelly", "snntorch", "onnx", "onnxruntime", "openvino")


def cores() -> int:
    """Return the number of cores that this process may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def describe() -> dict[str, str]:
    """Return processor, cores, memory, system, and the load before the measurement."""
    # On a busy machine, times mean little.
    model = re.search(r"^model name\s*: (.+)$", _text("/proc/cpuinfo"), re.MULTILINE)
    total = re.search(r"^MemTotal:\s+(\d+)", _text("/proc/meminfo"), re.MULTILINE)
    pages = re.search(r"\[(\w+)\]", _text("/sys/kernel/mm/transparent_hugepage/enabled"))
    return {
        "processor": model[1] if model else platform.processor() or platform.machine(),
        "cores": str(cores()),
        "memory": f"{int(total[1]) / 2**20:.1f} GiB" if total else "unknown",
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "huge pages": pages[1] if pages else "unknown",
        "load": _load(),
    }


def _load() -> str:
    if sys.platform == "win32":
        return "unknown"
    return f"{os.getloadavg()[0]:.2f}"


def versions() -> dict[str, str]:
    """Return the versions of Python, the C library, sewdsl and the compared packages."""
    library, library_version = platform.libc_ver()
    result = {
        "python": platform.python_version(),
        library or "C library": library_version or "unknown",
        "sewdsl": _sewdsl(),
    }
    for package in PACKAGES:
        try:
            result[package] = version(package)
        except PackageNotFoundError:
            continue
    return result


def _sewdsl() -> str:
    """Return the version, with the commit if this is a checkout."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    # --dirty marks uncommitted changes.
    command = ["git", "describe", "--always", "--dirty", "--abbrev=9", "--exclude=*"]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S603 -- constant
    except (OSError, subprocess.CalledProcessError):
        return str(project["version"])
    return f"{project['version']} ({done.stdout.strip()})"


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError:
        return ""


if sys.platform != "linux":
    message = "benchmarks require Linux (they read /proc)"
    raise SystemExit(message)
