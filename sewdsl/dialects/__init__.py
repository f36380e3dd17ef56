"""Dialects: notations of other papers, each with a front end that builds the sewdsl syntax tree with source spans.

Where a dialect leaves a property of the network open, the front end makes a fixed assumption and reports a note.
"""

from __future__ import annotations

from sewdsl.dialects.he.conventions import Conventions, parse_conventions
from sewdsl.dialects.he.translate import Inputs, Translation, check_inputs, translate

__all__ = ["Conventions", "Inputs", "Translation", "check_inputs", "parse_conventions", "translate"]
