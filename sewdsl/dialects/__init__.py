"""The notations of other papers: each is a front end of its own that makes our tree, with every place kept.

What a dialect leaves unsaid and a network needs is assumed in one stated way, and each assumption is a note.
"""

from __future__ import annotations

from sewdsl.dialects.he.conventions import Conventions, parse_conventions
from sewdsl.dialects.he.translate import Inputs, Translation, check_inputs, translate

__all__ = ["Conventions", "Inputs", "Translation", "check_inputs", "parse_conventions", "translate"]
