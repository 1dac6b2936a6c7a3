"""Searches in shards: wherever they are searched, and however often that is cut off, the stage is the same."""

import shutil
from collections.abc import Iterator, Sequence

import pytest

from rstar.pipeline.round import search
from rstar.pipeline.search import Shard, elsewhere, search_shard
from rstar.store import manifest
from rstar.store.layout import SHARDS
from tests.pipeline import tiny


def in_turn(shards: Sequence[Shard]) -> Iterator[tuple[float, float]]:
    """One after the other in this process, the last one first."""
    found = {shard.folder: search_shard(shard) for shard in reversed(shards)}
    return iter([found[shard.folder] for shard in shards])


def spread(copy, how, *overrides):
    token = elsewhere.set(how)
    try:
        return search(tiny.config(copy, "runtime.tasks.shard=3", *overrides), 2)
    finally:
        elsewhere.reset(token)


def test_shards_give_the_stage_that_one_process_gives(copy):
    stage = copy / "runs" / "tiny" / "round-2" / "search"
    before = manifest.read(stage)
    shutil.rmtree(stage)
    after = spread(copy, in_turn)
    assert (after.parts, after.metrics, after.fingerprint) == (before.parts, before.metrics, before.fingerprint)
    assert after.clock["cpu_s"] > 0
    assert not (stage / SHARDS).exists()


def test_what_a_lost_shard_has_finished_is_not_searched_again(copy):
    stage = copy / "runs" / "tiny" / "round-2" / "search"
    before = manifest.read(stage)
    shutil.rmtree(stage)
    asked: list[int] = []

    def lost(shards: Sequence[Shard]) -> Iterator[tuple[float, float]]:
        asked.append(sum(len(shard.problems) for shard in shards))
        yield search_shard(shards[0])
        search_shard(shards[1])  # it had ended, and its process died before it could say so
        part = next((shards[1].folder / "trees").iterdir())
        torn = part.with_name("part-00000.jsonl")
        torn.write_bytes(
            b"".join(line + b"\n" for line in list(tiny.tree_lines(shards[1].folder)["part-00000"])[:2]) + b"{"
        )
        part.unlink(missing_ok=part != torn)
        raise ConnectionError("the cluster is gone")

    def again(shards: Sequence[Shard]) -> Iterator[tuple[float, float]]:
        asked.append(sum(len(shard.problems) for shard in shards))
        return in_turn(shards)

    with pytest.raises(ConnectionError):
        spread(copy, lost)
    after = spread(copy, again)
    assert asked[:2] == [8, 8 - 3 - 2]
    assert (after.parts, after.metrics) == (before.parts, before.metrics)
