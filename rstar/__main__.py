"""`python -m rstar`."""

from rstar.cli import main

main()
