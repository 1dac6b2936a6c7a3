"""Prefect's start-up hook in this checkout: short names of deployments, and the server that `make up` started.

Prefect calls it while it is imported (entry point group `prefect.plugins`, switched on in pyproject.toml), before its
command line reads the arguments.
"""

import re
import sys
from pathlib import Path

from prefect.plugins import HookContext, SetupResult, register_hook

from flows import place

_SHORT = {"evolve": "evolve/evolve", "nightly": "evolve/nightly"}
_ROUND = re.compile(r"round-\d+")
_ASKS = {"artifact", "concurrency-limit", "deployment", "flow", "flow-run", "global-concurrency-limit", "work-pool"}
"""What only a server can answer."""
_SWITCHES = ("--watch", "--no-watch")
"""Options of `deployment run` without a value."""


@register_hook
def setup_environment(*, ctx: HookContext) -> SetupResult | None:
    """Rewrite `deployment run round-1` to `round/round-1`; name the server of `make up` where no other is set."""
    at = deployment(sys.argv)
    if at is not None:
        sys.argv[at] = full_name(sys.argv[at])
    if ctx.api_url is not None:
        return None
    url = place.api()
    if url is None and Path(sys.argv[0]).name == "prefect" and _ASKS & set(sys.argv[1:2]):
        # Without it Prefect would start a server of its own for this one command, which knows nothing of ours.
        raise SystemExit("rstar: no Prefect server is up in this folder; start it with `make up` in another terminal")
    return None if url is None else SetupResult(env={"PREFECT_API_URL": url})


def deployment(argv: list[str]) -> int | None:
    """The position of the deployment's name in `prefect deployment run NAME`, options before or behind it."""
    for i in range(1, len(argv) - 1):
        if argv[i : i + 2] == ["deployment", "run"]:
            break
    else:
        return None
    takes_value = False
    for at in range(i + 2, len(argv)):
        word = argv[at]
        if not takes_value and not word.startswith("-"):
            return at
        takes_value = word.startswith("-") and word not in _SWITCHES and "=" not in word
    return None


def full_name(name: str) -> str:
    """`round-2` as `round/round-2`; any other name as it is."""
    return f"round/{name}" if _ROUND.fullmatch(name) else _SHORT.get(name, name)
