"""Where the weights came from that a run began with."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Origin(BaseModel):
    """Where weights came from.

    Attributes:
        file: The file's name, as it was given.
        sha256: Of its contents.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str
    sha256: str
