"""Takes the metadata of the small distribution from that of the whole one, so that nothing is stated twice."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

SAME = ("classifiers", "description", "entry-points", "requires-python", "scripts")
"""What is stated of both."""


class SmallMetadata(MetadataHookInterface):
    """Keeps the dependencies that ``tool.sewdsl.small`` names, and makes an extra of the others, ``whole``.

    All other extras are those of the whole distribution.
    """

    def update(self, metadata: dict[str, Any]) -> None:
        """Fills what ``pyproject.toml`` beside this file leaves open.

        Raises:
            ValueError: a dependency that is to be kept is none.
        """
        stated = tomllib.loads((Path(self.root).parent / "pyproject.toml").read_text("utf-8"))
        project, names = stated["project"], stated["tool"]["sewdsl"]["small"]
        needed = {re.split(r"[<>=!~;\[ ]", one, maxsplit=1)[0]: one for one in project["dependencies"]}
        if unknown := [name for name in names if name not in needed]:
            message = f"tool.sewdsl.small names {', '.join(unknown)}, which is no dependency of sewdsl"
            raise ValueError(message)
        metadata.update({field: project[field] for field in SAME})
        metadata["version"] = f"{project['version']}+small"
        metadata["dependencies"] = [one for name, one in needed.items() if name in names]
        rest = [one for name, one in needed.items() if name not in names]
        metadata["optional-dependencies"] = {**project["optional-dependencies"], "whole": rest}
