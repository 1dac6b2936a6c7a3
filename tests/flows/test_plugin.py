"""Short names on Prefect's command line."""

import pytest

from flows.plugin import deployment, full_name
from tests.flows.checkout import Checkout


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("prefect deployment run round-1", "round-1"),
        ("prefect deployment run --watch round-2", "round-2"),
        ("prefect deployment run round-3 --watch -p round_number=3", "round-3"),
        ("prefect deployment run -p name=round-1 round-4", "round-4"),
        ("prefect deployment run --tag round-1 other/flow", "other/flow"),
        ("prefect deployment run --param=a=1 round-1", "round-1"),
        ("prefect --profile mine deployment run round-1", "round-1"),
        ("prefect deployment run --id 5f", None),
        ("prefect deployment run", None),
        ("prefect deployment inspect round-1", None),
        ("rstar round configs/tiny.yaml -n 1", None),
    ],
)
def test_the_deployments_name_is_found_on_the_command_line(line: str, name: str | None) -> None:
    words = line.split()
    at = deployment(words)
    assert (None if at is None else words[at]) == name


@pytest.mark.parametrize(
    ("short", "full"),
    [
        ("round-1", "round/round-1"),
        ("round-12", "round/round-12"),
        ("round/round-1", "round/round-1"),
        ("evolve", "evolve/evolve"),
        ("nightly", "evolve/nightly"),
        ("round-one", "round-one"),
        ("other/round-1", "other/round-1"),
    ],
)
def test_short_names_stand_for_full_ones(short: str, full: str) -> None:
    assert full_name(short) == full


@pytest.mark.parametrize(
    "words", ["deployment run round-1 --watch", "deployment schedule ls evolve/nightly", "flow-run ls"]
)
def test_without_a_server_the_command_says_how_to_start_one(checkout: Checkout, words: str) -> None:
    done = checkout.run("prefect", *words.split())
    assert done.returncode == 1
    assert done.stderr.strip().splitlines() == [
        "rstar: no Prefect server is up in this folder; start it with `make up` in another terminal"
    ]
