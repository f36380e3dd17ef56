"""The command ``sewdsl``, also as ``python -m sewdsl`` where its script is not on the path."""

from __future__ import annotations

INTERRUPTED = 130
"""The exit code after Ctrl-C, as a shell has it."""


def main() -> None:
    """Run the command line. Ctrl-C ends it without a traceback, also while it is still loading."""
    try:
        from sewdsl.child_process import leave_out_current_folder
        from sewdsl.garbage import put_off  # nothing before Ctrl-C is heard

        leave_out_current_folder()
        with put_off():
            from sewdsl.cli.app import main as run

        run()
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None


if __name__ == "__main__":
    main()
