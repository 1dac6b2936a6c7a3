"""What the tests of flows have: Prefect's settings, and a checkout of the project's own."""

from tests.flows.conftest import checkout

__all__ = ["checkout"]
