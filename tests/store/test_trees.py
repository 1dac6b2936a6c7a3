"""Trees on disk survive a kill at any byte, and what is sealed does not depend on the order in which they finished."""

import gzip
import hashlib
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rstar.errors import Damaged
from rstar.store import trees as store_module
from rstar.store.trees import TreeStore, lines, parts, read_grouped, read_trees
from tests.store.trees import tree

IDS = ["p0", "p1", "p2"]


@pytest.fixture
def small_parts(monkeypatch):
    """Parts of three problems."""
    monkeypatch.setattr(store_module, "PART_SIZE", 3)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def stored_ids(path: Path) -> list[str]:
    return [orjson.loads(line)["problem"]["id"] for line in lines(path)]


def test_everything_is_owed_at_first_and_nothing_in_the_end(tmp_path):
    store = TreeStore(tmp_path / "trees", IDS)
    assert store.owed() == IDS
    store.add(tree("p1"))
    assert store.owed() == ["p0", "p2"]
    assert store.done == {"p1"}
    store.add(tree("p2"))
    store.add(tree("p0"))
    assert store.owed() == []
    assert store.seal() == {"trees/part-00000.jsonl.gz": 3}
    assert [found.problem.id for found in read_trees(tmp_path / "trees")] == IDS


def test_trees_come_back_as_they_were(tmp_path):
    made = [tree(name, size, correct=size % 2 == 0) for size, name in enumerate(IDS, start=1)]
    store = TreeStore(tmp_path, IDS)
    for each in made:
        store.add(each)
    assert list(read_trees(tmp_path)) == made


def test_a_tree_is_on_disk_as_soon_as_it_was_added(tmp_path):
    store = TreeStore(tmp_path, IDS)
    store.add(tree("p2"))
    # Not closed: what a killed process leaves.
    assert TreeStore(tmp_path, IDS).owed() == ["p0", "p1"]


def test_ids_that_stand_twice_are_refused(tmp_path):
    with pytest.raises(ValueError, match="distinct"):
        TreeStore(tmp_path, ["p0", "p1", "p0"])


def test_a_line_torn_at_any_byte_is_owed_again_and_the_others_are_kept(tmp_path):
    source = tmp_path / "part-00000.jsonl"
    store = TreeStore(tmp_path, IDS)
    store.add(tree("p1"))
    store.add(tree("p2"))
    store.close()
    whole = source.read_bytes()
    kept = whole.index(b"\n") + 1
    for size in range(kept, len(whole)):
        source.write_bytes(whole[:size])
        again = TreeStore(tmp_path, IDS)
        assert again.owed() == ["p0", "p2"], f"cut behind byte {size}"
        assert source.read_bytes() == whole[:kept], f"cut behind byte {size}"
    for size in range(kept):
        source.write_bytes(whole[:size])
        assert TreeStore(tmp_path, IDS).owed() == IDS, f"cut behind byte {size}"
        assert source.read_bytes() == b""


def test_a_torn_line_longer_than_a_read_is_found(tmp_path):
    source = tmp_path / "part-00000.jsonl"
    store = TreeStore(tmp_path, IDS)
    store.add(tree("p1"))
    store.close()
    kept = source.read_bytes()
    for extra in (65_535 - len(kept), 65_536 - len(kept), 65_536, 200_000):
        source.write_bytes(kept + b"x" * extra)
        assert TreeStore(tmp_path, IDS).owed() == ["p0", "p2"]
        assert source.read_bytes() == kept


def test_what_comes_after_a_torn_line_gives_the_same_sealed_bytes(tmp_path):
    def filled(folder: Path, cut: int | None) -> bytes:
        store = TreeStore(folder, IDS)
        store.add(tree("p2"))
        store.add(tree("p0"))
        if cut is not None:
            source = folder / "part-00000.jsonl"
            source.write_bytes(source.read_bytes()[:-cut])
            store = TreeStore(folder, IDS)
        for name in store.owed():
            store.add(tree(name))
        return (folder / "part-00000.jsonl.gz").read_bytes()

    assert filled(tmp_path / "torn", 20) == filled(tmp_path / "whole", None)


def test_parts_are_sealed_when_their_last_tree_arrives(tmp_path, small_parts):
    ids = [f"p{i}" for i in range(7)]
    store = TreeStore(tmp_path, ids)
    for name in ("p6", "p5", "p4", "p0"):
        store.add(tree(name))
    assert names(tmp_path) == ["part-00000.jsonl", "part-00001.jsonl", "part-00002.jsonl.gz"]
    store.add(tree("p3"))
    assert names(tmp_path) == ["part-00000.jsonl", "part-00001.jsonl.gz", "part-00002.jsonl.gz"]
    assert stored_ids(tmp_path / "part-00001.jsonl.gz") == ["p3", "p4", "p5"]
    store.close()
    resumed = TreeStore(tmp_path, ids)
    assert resumed.owed() == ["p1", "p2"]
    resumed.add(tree("p2"))
    resumed.add(tree("p1"))
    assert [found.problem.id for found in read_trees(tmp_path)] == ids


@settings(deadline=None, derandomize=True, max_examples=60)
@given(st.permutations(range(7)), st.sets(st.integers(1, 6)))
def test_sealed_bytes_do_not_depend_on_the_order_or_on_restarts(tmp_path_factory, order, restarts):
    ids = [f"p{i}" for i in range(7)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store_module, "PART_SIZE", 3)
        folder = tmp_path_factory.mktemp("trees")
        store = TreeStore(folder, ids)
        for done, i in enumerate(order):
            if done in restarts:
                store.close()
                store = TreeStore(folder, ids)
            store.add(tree(f"p{i}", size=1 + i, correct=i % 2 == 0))
        store.seal()
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(folder.iterdir()))).hexdigest()
    assert names(folder) == [f"part-0000{k}.jsonl.gz" for k in range(3)]
    # One digest for all examples: the first order that was tried.
    _seen.setdefault("digest", digest)
    assert digest == _seen["digest"]


_seen: dict[str, str] = {}


def test_a_part_sealed_without_failed_problems_is_opened_again(tmp_path):
    store = TreeStore(tmp_path / "trees", IDS)
    store.add(tree("p2"))
    store.add(tree("p0"))
    assert store.seal() == {"trees/part-00000.jsonl.gz": 2}
    assert names(tmp_path / "trees") == ["part-00000.jsonl.gz"]
    again = TreeStore(tmp_path / "trees", IDS)
    assert again.owed() == ["p1"]
    assert names(tmp_path / "trees") == ["part-00000.jsonl"]
    again.add(tree("p1"))
    assert stored_ids(tmp_path / "trees" / "part-00000.jsonl.gz") == IDS


def test_sealing_twice_with_the_same_failures_gives_the_same_bytes(tmp_path):
    store = TreeStore(tmp_path, IDS)
    store.add(tree("p1"))
    store.seal()
    first = (tmp_path / "part-00000.jsonl.gz").read_bytes()
    assert TreeStore(tmp_path, IDS).seal() == {f"{tmp_path.name}/part-00000.jsonl.gz": 1}
    assert (tmp_path / "part-00000.jsonl.gz").read_bytes() == first


def test_a_kill_between_the_rename_and_the_removal_leaves_one_copy(tmp_path):
    store = TreeStore(tmp_path, IDS)
    for name in ("p1", "p0"):
        store.add(tree(name))
    open_part = (tmp_path / "part-00000.jsonl").read_bytes()
    store.add(tree("p2"))
    sealed = (tmp_path / "part-00000.jsonl.gz").read_bytes()
    (tmp_path / "part-00000.jsonl").write_bytes(open_part)  # as if it had not been removed yet
    again = TreeStore(tmp_path, IDS)
    assert again.owed() == []
    assert names(tmp_path) == ["part-00000.jsonl.gz"]
    assert (tmp_path / "part-00000.jsonl.gz").read_bytes() == sealed


def test_a_kill_in_the_middle_of_sealing_leaves_nothing_that_counts(tmp_path):
    store = TreeStore(tmp_path, IDS)
    for name in IDS[:2]:
        store.add(tree(name))
    store.close()
    half = tmp_path / ".part-00000.jsonl.gz.17.tmp"
    half.write_bytes(gzip.compress(b"half of it")[:9] + b"\n\xff\n")
    other = TreeStore(tmp_path.with_name("other"), IDS)
    other.take(tmp_path)
    assert other.done == {"p0", "p1"}
    assert [path.name for path in parts(tmp_path)] == ["part-00000.jsonl"]
    assert TreeStore(tmp_path, IDS).owed() == ["p2"]
    assert not half.exists()


def test_a_kill_while_a_sealed_part_is_opened_again_loses_nothing(tmp_path):
    store = TreeStore(tmp_path, IDS)
    store.add(tree("p1"))
    store.seal()
    sealed = (tmp_path / "part-00000.jsonl.gz").read_bytes()
    TreeStore(tmp_path, IDS)
    (tmp_path / "part-00000.jsonl.gz").write_bytes(sealed)  # both are there: killed before the old one went
    again = TreeStore(tmp_path, IDS)
    assert again.owed() == ["p0", "p2"]
    for name in again.owed():
        again.add(tree(name))
    assert stored_ids(tmp_path / "part-00000.jsonl.gz") == IDS


def test_a_kill_before_the_rename_seals_on_the_next_start(tmp_path):
    store = TreeStore(tmp_path, IDS)
    for name in ("p2", "p1"):
        store.add(tree(name))
    store.close()
    with (tmp_path / "part-00000.jsonl").open("ab") as file:  # the last tree was written, and then the kill
        file.write(orjson.dumps(tree("p0").to_json()) + b"\n")
    assert TreeStore(tmp_path, IDS).owed() == []
    assert stored_ids(tmp_path / "part-00000.jsonl.gz") == IDS


@pytest.mark.parametrize("damage", [b"not json\n", b'{"problem": {}}\n', b"[]\n", b'"text"\n', b"\n", b"\xff\xfe\n"])
def test_a_damaged_line_is_named_by_file_and_number(tmp_path, damage):
    store = TreeStore(tmp_path, IDS)
    store.add(tree("p1"))
    store.close()
    source = tmp_path / "part-00000.jsonl"
    source.write_bytes(source.read_bytes() + damage)
    with pytest.raises(Damaged) as caught:
        TreeStore(tmp_path, IDS)
    assert str(caught.value).startswith(f"{source}, line 2: ")


@pytest.mark.parametrize("damage", [b"{}", b"3", b'{"problem": {"id": "p0", "text": ""}}', b"{"])
def test_a_damaged_line_of_a_sealed_part_is_named_by_file_and_number(tmp_path, damage):
    good = orjson.dumps(tree("p0").to_json())
    path = tmp_path / "part-00000.jsonl.gz"
    path.write_bytes(gzip.compress(good + b"\n" + damage + b"\n"))
    found = read_trees(tmp_path)
    assert next(found) == tree("p0")
    with pytest.raises(Damaged) as caught:
        next(found)
    assert str(caught.value).startswith(f"{path}, line 2: ")


def test_a_flipped_or_missing_byte_of_a_sealed_part_is_never_another_error(tmp_path):
    store = TreeStore(tmp_path, IDS)
    for name in IDS:
        store.add(tree(name))
    path = tmp_path / "part-00000.jsonl.gz"
    whole = path.read_bytes()
    expected = list(read_trees(tmp_path))
    named = 0
    for at in range(len(whole)):
        for damaged in (whole[:at] + bytes([whole[at] ^ 0x5A]) + whole[at + 1 :], whole[:at]):
            path.write_bytes(damaged)
            try:
                assert list(read_trees(tmp_path)) in (expected, [])  # the header's time and name mean nothing
            except Damaged as error:
                named += str(path) in str(error)
    assert named > len(whole)


def test_passes_are_merged_in_the_problems_order(tmp_path, small_parts):
    ids = ["b", "a", "d", "c", "e"]  # the order of problems is no alphabet
    first = TreeStore(tmp_path, ids, "pass-0")
    for name in ("e", "c", "a", "b", "d"):
        first.add(tree(name))
    second = TreeStore(tmp_path, ["a", "c", "e"], "pass-1")
    for name in ("e", "a", "c"):
        second.add(tree(name, attempt=1))
    third = TreeStore(tmp_path, ["c"], "pass-2")
    third.add(tree("c", attempt=2))
    groups = [[(found.problem.id, found.attempt) for found in group] for group in read_grouped(tmp_path, ids)]
    assert groups == [
        [("b", 0)],
        [("a", 0), ("a", 1)],
        [("d", 0)],
        [("c", 0), ("c", 1), ("c", 2)],
        [("e", 0), ("e", 1)],
    ]


def test_a_problem_that_failed_in_one_pass_is_grouped_from_the_others(tmp_path):
    first = TreeStore(tmp_path, IDS, "pass-0")
    first.add(tree("p2"))
    first.seal()
    second = TreeStore(tmp_path, IDS, "pass-1")
    for name in IDS:
        second.add(tree(name, attempt=1))
    groups = [[(found.problem.id, found.attempt) for found in group] for group in read_grouped(tmp_path, IDS)]
    assert groups == [[("p0", 1)], [("p1", 1)], [("p2", 0), ("p2", 1)]]


def test_no_trees_are_no_groups(tmp_path):
    assert list(read_grouped(tmp_path, IDS)) == []
    assert TreeStore(tmp_path, []).seal() == {}
