"""So that `python -m chainfold` is the command `chainfold`."""

from chainfold.cli import main

main(prog_name="chainfold")
