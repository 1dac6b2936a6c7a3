"""Whatever answers a search's calls, and the driver that keeps it busy."""
