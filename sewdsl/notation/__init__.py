"""network -> text: what the compiler reads, written from the network itself."""

from __future__ import annotations
