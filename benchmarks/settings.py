"""Settings of the memory allocators under which everything is measured.

They are environment variables, read once when a process starts. Settings that sewdsl makes itself are listed here too,
so that other libraries are also measured with them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sewdsl.allocator import LARGEST, MAX_MAPPINGS, MMAP_THRESHOLD


@dataclass(frozen=True)
class Setting:
    """Environment variables of a measured process.

    Attributes:
        name: Name in the tables.
        environment: The variables. All others of :data:`NAMES` are removed.
    """

    name: str
    environment: Mapping[str, str]


AS_IT_COMES = Setting("as it comes", {})

KEEPING = Setting(
    "memory kept",
    {
        # As sewdsl.allocator sets in 'sewdsl train'. No block is a separate mapping, and freed memory is not returned,
        # so the next training step reuses the pages.
        "MALLOC_MMAP_MAX_": "0",
        "MALLOC_TRIM_THRESHOLD_": str(LARGEST),
        "MALLOC_ARENA_MAX": "1",
    },
)

RETURNING = Setting(
    "memory returned",
    {
        # As sewdsl.allocator sets with a memory budget. Each large block is a separate mapping, which is returned when
        # it is freed. Pages of 2 MB reduce the cost.
        "MALLOC_MMAP_MAX_": str(MAX_MAPPINGS),
        "MALLOC_MMAP_THRESHOLD_": str(MMAP_THRESHOLD),
        "MALLOC_TRIM_THRESHOLD_": str(MMAP_THRESHOLD),
        "MALLOC_ARENA_MAX": "1",
        "THP_MEM_ALLOC_ENABLE": "1",
    },
)

SETTINGS = (AS_IT_COMES, KEEPING)
"""Default settings of a case."""

ALL = (*SETTINGS, RETURNING)
"""Settings of cases about memory."""

OWN = KEEPING
"""Setting of sewdsl that is the base of ratios in the tables."""

NAMES = frozenset(
    {
        *(name for setting in ALL for name in setting.environment),
        "GLIBC_TUNABLES",
        "LD_PRELOAD",
        "MALLOC_TOP_PAD_",
    }
)
"""Environment variables that affect measurements. They are not inherited."""


def setting(name: str) -> Setting:
    """Return the setting of a name."""
    return next(setting for setting in ALL if setting.name == name)
