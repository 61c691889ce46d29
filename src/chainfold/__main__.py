"""The command `chainfold`, and `python -m chainfold`."""

import sys


def run() -> None:
    """Run the command; Ctrl-C while it is imported ends it as it does later."""
    try:
        from chainfold.cli import main  # noqa: PLC0415 - so that Ctrl-C meanwhile is met here
    except KeyboardInterrupt:
        sys.exit(130)
    main(prog_name="chainfold")


if __name__ == "__main__":
    run()
