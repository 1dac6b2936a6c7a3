"""The same evolution on PostgreSQL and Redis, and with its searches on Ray: the same bytes."""

import contextlib
import importlib.util
import os
import shutil
from collections.abc import Iterator

import pytest

from flows import scale
from tests.flows.checkout import Checkout, free_port, until
from tests.pipeline import tiny

pytestmark = [pytest.mark.prefect, pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture
def stores(checkout: Checkout) -> Iterator[None]:
    """PostgreSQL, Redis and their Python packages are there; what PostgreSQL keeps outside the checkout is removed."""
    (checkout.folder / ".rstar" / "prefect").mkdir(parents=True)
    try:
        with contextlib.chdir(checkout.folder):
            found = scale.find()
    except scale.Missing as missing:
        pytest.skip(str(missing))
    yield
    checkout.kill_all()
    shutil.rmtree(found.data, ignore_errors=True)


def evolve(checkout: Checkout, *settings: str) -> None:
    config = ", ".join(f'"{word}"' for word in ("run.yaml", *settings))
    done = checkout.run("prefect", "deployment", "run", "evolve", "--watch", "-p", f"config=[{config}]", timeout_s=900)
    assert done.returncode == 0, done.stdout + done.stderr + checkout.logs()


def test_postgresql_and_redis_and_ray_give_the_same_run(checkout: Checkout, stores: None) -> None:
    tiny.prepare(checkout.folder)
    port = free_port()
    started = checkout.up("--port", str(port), "--scale")
    words = [" ".join(process.cmdline()) for process in checkout.processes()]
    for part in ("redis-server", "server start", "server services start", "worker start"):
        assert any(part in each for each in words), part

    # kill -9 of PostgreSQL in the middle: all is stopped, and the database is whole when all is up again.
    checkout.trigger(port, "evolve/evolve", ["run.yaml"])
    trees = checkout.folder / "runs" / "tiny" / "round-1" / "search" / "trees"
    until(trees.exists, 240, checkout.logs)
    checkout.kill("bin/postgres -D")
    assert started.wait(120) == 1
    assert "the postgres was killed by signal 9" in checkout.said()
    assert checkout.processes() == []
    started = checkout.up("--port", str(port), "--scale")
    evolve(checkout)
    undisturbed = tiny.contents(tiny.evolved() / "runs" / "tiny")
    runs = checkout.folder / "runs"
    assert tiny.contents(runs / "tiny") == undisturbed

    if importlib.util.find_spec("prefect_ray") is None:
        pytest.skip("the extra `ray` is not installed: the searches on Ray were left out")
    runs.rename(checkout.folder / "before")  # the new run takes its place: model cards name folders
    evolve(checkout, "runtime.tasks={kind: ray, shard: 3}")
    assert tiny.contents(runs / "tiny") == undisturbed
    assert not list(runs.rglob("shards"))
    assert checkout.python("-m", "flows.down").returncode == 0
    assert started.wait(10) == 0
    assert checkout.processes() == []
    assert os.path.exists(checkout.folder / ".rstar" / "prefect" / "redis.log")
