"""The networks of papers, read as they are printed."""

import pytest

from sewdsl import load
from sewdsl.dialects import parse_conventions, translate
from sewdsl.limits import DEFAULT_LIMITS
from sewdsl.reporter import Reporter
from sewdsl.source import Source
from sewdsl.syntax.printer import print_expression
from sewdsl.syntax.tree import Body
from tests.dialects.networks import PRINTED, Printed


@pytest.mark.parametrize("printed", PRINTED, ids=lambda printed: printed.source[:30])
class TestPrinted:
    def test_in_ours(self, printed: Printed) -> None:
        reporter = Reporter()
        asked = reporter.take(parse_conventions(printed.dialect, DEFAULT_LIMITS))
        assert asked is not None
        document = reporter.take(translate(Source("t", printed.text), asked)).document
        (body,) = (found for found in document.statements if isinstance(found, Body))
        assert print_expression(body.expression) == printed.ours
        assert not reporter.errors

    def test_the_count(self, printed: Printed) -> None:
        network = load(printed.text, dialect=printed.dialect, input=printed.shape)
        assert network.total_parameters == printed.parameters

    def test_the_network_is_that_of_ours(self, printed: Printed) -> None:
        network = load(printed.text, dialect=printed.dialect, input=printed.shape)
        encode = network.settings.encode
        assert encode == ("direct" if "(Encoding)" in printed.text else "none")
        ours = load(printed.ours, input=printed.shape, neuron="LIF", set={"encode": encode})
        assert [(node.name, str(node.op), node.output) for node in network] == [
            (node.name, str(node.op), node.output) for node in ours
        ]


def test_the_inputs_of_layers_are_those_of_the_configurations() -> None:
    """``n_inputs`` of the first linear layer in the authors' files."""
    for text, dialect, shape, inputs in (
        ("15C5-P2-40C5-P2-300", "he(padding=none)", "1x28x28", 640),
        ("96C3-256C3-P2-384C3-P2-384C3-256C3-1024-1024", "he(padding=same)", "3x32x32", 16384),
    ):
        network = load(text, dialect=dialect, input=shape)
        linear = next(node for node in network if node.op.kind == "FC")
        assert network.inputs(linear)[0].elements == inputs
