"""The command line: `rstar COMMAND`. Exit codes: 0 done, 1 failed, 2 wrong input, 3 recipe drift, 4 damaged files."""

from rstar.cli.app import main

__all__ = ["main"]
