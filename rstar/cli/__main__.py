"""`python -m rstar.cli`."""

from rstar.cli import main

main()
