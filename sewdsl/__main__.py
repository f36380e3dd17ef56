"""The command ``sewdsl``, also as ``python -m sewdsl`` where its script is not on the path."""

from __future__ import annotations


def main() -> None:
    """Run the command line. Ctrl-C ends it without a traceback, also while it is still loading."""
    try:
        from sewdsl.child_process import leave_out_current_folder
        from sewdsl.garbage import put_off  # nothing before Ctrl-C is heard
        from sewdsl.interrupts import exit_during_imports

        leave_out_current_folder()
        with exit_during_imports():
            with put_off():
                from sewdsl.cli.app import main as run

            run()
    except KeyboardInterrupt:
        raise SystemExit(130) from None  # the exit code of a shell after Ctrl-C


if __name__ == "__main__":
    main()
