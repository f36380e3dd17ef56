"""``terms.json``: under which licence a run may be used, once its author has said so."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel

from sewdsl.elaborate.suggestions import did_you_mean
from sewdsl.train.records import STRICT

LICENSES = (
    *("afl-3.0", "agpl-3.0", "apache-2.0", "artistic-2.0", "bsd", "bsd-2-clause", "bsd-3-clause", "bsd-3-clause-clear"),
    *("bsl-1.0", "cc", "cc0-1.0", "cc-by-2.0", "cc-by-2.5", "cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0"),
    *("cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0", "cc-by-nd-4.0", "cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0"),
    *("cc-by-nc-sa-2.0", "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0", "cdla-permissive-1.0", "cdla-permissive-2.0"),
    *("cdla-sharing-1.0", "ecl-2.0", "epl-1.0", "epl-2.0", "eupl-1.1", "eupl-1.2", "gfdl", "gpl", "gpl-2.0", "gpl-3.0"),
    *("isc", "lgpl", "lgpl-2.1", "lgpl-3.0", "lppl-1.3c", "mit", "mpl-2.0", "ms-pl", "ncsa", "odbl", "odc-by"),
    *("ofl-1.1", "openrail", "openrail++", "osl-3.0", "other", "pddl", "postgresql", "unlicense", "wtfpl", "zlib"),
)
"""Licences by the identifiers that the Hugging Face hub knows; ``other`` is one that the card itself explains."""


def parse_license(text: str) -> str:
    """The identifier of a licence, in small letters.

    Raises:
        ValueError: it is none; the message names one that is like it.
    """
    found = text.strip().lower()
    if found not in LICENSES:
        near = did_you_mean(found, LICENSES)
        message = f"'{text}' is no licence that the Hugging Face hub knows{f'; {near}' if near else ''}"
        raise ValueError(message)
    return found


class Terms(BaseModel):
    """The contents of ``terms.json``."""

    model_config = STRICT

    license: Annotated[str, AfterValidator(parse_license)]
