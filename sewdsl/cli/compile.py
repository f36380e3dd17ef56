"""``sewdsl compile``: output of one stage of the compiler."""

from __future__ import annotations

from typing import Annotated, Literal

from sewdsl.cli.files import fail
from sewdsl.cli.network_tables import plan_to_json, print_plan
from sewdsl.cli.options import AS_WRITTEN, HelpPanel, Json, Spec, SpecOptions, read_spec_text, require, require_network
from sewdsl.cli.output import echo_json, write_output
from sewdsl.compiler import compile as compile_module
from sewdsl.compiler import read
from sewdsl.passes import LEVELS, optimize_program, run_passes
from sewdsl.terminal import echo

Optimize = Annotated[
    int,
    HelpPanel.ADVANCED.option(
        "--optimize LEVEL", "Optimisation level: 0 none, 1 default, 2 all passes.", min=LEVELS[0], max=LEVELS[-1]
    ),
]


def command(
    spec: Spec,
    spec_options: SpecOptions = AS_WRITTEN,
    emit: Annotated[
        Literal["tree", "network", "module", "passes", "plan"],
        HelpPanel.OUTPUT.option(
            "--emit",
            "Output to print. tree: source with all used files. network: JSON of the network. module: PyTorch "
            "module. passes: changes of each pass. plan: execution plan.",
        ),
    ] = "network",
    json_: Json = False,
    optimize: Optimize = 1,
) -> None:
    """Compile a network and print the output of one compiler stage."""
    has_json = emit in {"network", "passes", "plan"}
    require((json_, has_json, f"--json is not supported for --emit {emit}; use --emit network, passes or plan"))
    compilation = read(read_spec_text(spec), **spec_options.compile_options)
    network = require_network(compilation)
    if emit == "tree":
        write_output(compilation.standalone_text())
    elif emit == "passes":
        results = list(run_passes(network, optimize))
        if json_:
            echo_json([{"name": result.name, "said": result.report} for result in results])
            return
        for result in results:
            echo(f"{result.name}: {result.report or 'no change'}")
    elif emit == "plan":
        program = optimize_program(network, optimize)
        if json_:
            echo_json(plan_to_json(program))
        else:
            print_plan(program)
    elif emit == "module":
        try:
            echo(str(compile_module(network, optimize=optimize)))
        except ValueError as error:
            fail(str(error))
    else:
        from sewdsl.ir.json import to_json

        echo_json(to_json(network))
