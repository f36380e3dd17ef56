"""Hashes of kinds, on which the time of every lookup by kind depends."""

import sewdsl


def test_kinds_of_different_classes_have_different_hashes() -> None:
    count = 50
    functions = "-".join(f"MAP{{{number} - x}}" for number in range(count))
    network = sewdsl.read(f"sewdsl 1\ninput 4\nbody {functions}-{functions}-FC2\n").result()
    ops = [node.op for node in network.nodes[1:-1]]
    assert len({hash(op) for op in ops}) == len({*ops}) == count
