"""The golden sentences of :mod:`tests.words` are those of tests that exist."""

import os

import pytest

from tests.words import FOLDER, ROOT, read_entries, write_entries


def test_every_sentence_has_its_test(request: pytest.FixtureRequest) -> None:
    """A sentence names a function of a test file, and a case of it where all cases are collected.

    With UPDATE_GOLDEN=1 in the environment, the others are removed.
    """
    options = request.config.option
    ids = set() if options.keyword or options.markexpr else {item.nodeid for item in request.session.items}
    functions = {nodeid.partition("[")[0] for nodeid in ids}
    orphans = []
    for file in sorted(FOLDER.glob("*.txt")):
        entries = read_entries(file)
        kept = {}
        for name, text in entries.items():
            path, _, rest = f"tests/{name}".partition("::")
            function, _, case = rest.partition("[")
            source = (ROOT / path).read_text(encoding="utf-8") if (ROOT / path).exists() else ""
            nodeid = f"{path}::{function}[{case.rpartition(']')[0]}]" if case else None
            known = f"def {function.split()[0].rpartition('::')[2]}(" in source
            if known and (nodeid is None or nodeid in ids or nodeid.partition("[")[0] not in functions):
                kept[name] = text
        orphans += [name for name in entries if name not in kept]
        if os.environ.get("UPDATE_GOLDEN") and kept != entries:
            write_entries(file, kept)
    assert not orphans or os.environ.get("UPDATE_GOLDEN"), orphans
