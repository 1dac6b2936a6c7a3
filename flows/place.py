"""Where `make up` keeps its things, and how others in this checkout find its server."""

import json
import socket
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

HOME = Path(".rstar/prefect")
"""Database, logs and state of the Prefect server of this checkout."""
STATE = HOME / "up.json"
"""Written and locked by the supervisor: its process id and, once all is ready, the address of the API."""


def state() -> dict[str, Any]:
    """What the supervisor wrote last; empty when there was none."""
    try:
        found = json.loads(STATE.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def api() -> str | None:
    """The address of this checkout's Prefect API, if a server answers there."""
    url = state().get("api")
    if url is None:
        return None
    where = urlsplit(url)
    return str(url) if listens(where.hostname or "127.0.0.1", where.port or 80) else None


def listens(host: str, port: int) -> bool:
    """Whether somebody accepts connections there."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, port)) == 0
