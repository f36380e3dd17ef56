"""Options that no command has, since they are settings of the file: ``--join``, ``--epochs``."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand

from sewdsl.cli.options import usage
from sewdsl.elaborate.keys import meant_key


class Command(TyperCommand):
    """A command that says of an option it does not have how the setting of this name is set."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Reads the arguments; with a usage error that names ``--set`` where that was meant."""
        try:
            return super().parse_args(ctx, args)
        except Exception as error:
            unknown = type(error).__name__ == "NoSuchOption"  # click's, or that of the copy of click in newer typers
            option = str(getattr(error, "option_name", "")) if unknown else ""
            key = meant_key(option)
            if key is not None and any(parameter.name == "settings" for parameter in self.params):
                usage(f"there is no option {option}: a setting is changed by --set {key}=VALUE")
            raise
