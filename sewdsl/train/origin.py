"""Where the weights came from that a run began with."""

from __future__ import annotations

from pydantic import BaseModel

from sewdsl.train.records import STRICT, Digest, Text


class WeightsOrigin(BaseModel):
    """Where weights came from.

    Attributes:
        file: The file's name, as it was given.
        sha256: Of its contents.
    """

    model_config = STRICT

    file: Text
    sha256: Digest
