"""The dialect ``he``, named after He et al. 2020: ``MP4-64C3-128C3-AP2-128C3-AP2-256FC-11``."""

from __future__ import annotations

from sewdsl.dialects.he.conventions import Conventions, parse_conventions
from sewdsl.dialects.he.translate import Inputs, Translation, check_inputs, translate

__all__ = ["Conventions", "Inputs", "Translation", "check_inputs", "parse_conventions", "translate"]
