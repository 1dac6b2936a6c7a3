"""Identity does not depend on how a value is written down, and refuses what has no canonical form."""

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rstar.errors import RstarError
from rstar.store.fingerprint import differences, file_sha256, fingerprint

SCALARS = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(st.characters(codec="utf-8"), max_size=5)
)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
KEYS = st.text(st.characters(codec="utf-8"), max_size=4)
VALUES = st.recursive(
    SCALARS | FLOATS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=12,
)

steady = settings(deadline=None, derandomize=True)


def backwards(value):
    """The same value with every mapping's keys put in the other order."""
    if isinstance(value, dict):
        return {key: backwards(value[key]) for key in reversed(value)}
    return [backwards(item) for item in value] if isinstance(value, list) else value


@steady
@given(VALUES)
def test_the_order_of_keys_is_irrelevant(value):
    assert fingerprint(backwards(value)) == fingerprint(value)


@steady
@given(st.dictionaries(KEYS, SCALARS, min_size=1), st.data())
def test_another_value_of_any_key_is_another_identity(value, data):
    key = data.draw(st.sampled_from(sorted(value)))
    other = data.draw(SCALARS.filter(lambda x: (type(x), x) != (type(value[key]), value[key])))
    assert fingerprint({**value, key: other}) != fingerprint(value)


def test_the_digest_is_sha256_of_sorted_compact_json():
    # Pinned: a change here makes every run on people's disks drift.
    text = '{"a":[1,2.5,null],"b":{"c":"é","d":true}}'
    value = {"b": {"d": True, "c": "é"}, "a": [1, 2.5, None]}
    assert fingerprint(value) == hashlib.sha256(text.encode()).hexdigest()
    assert fingerprint(value) == "b9705559e8f233fa0e22684119b6574e57e18f96e375ccb80a73b0899660f1c4"


def test_a_list_and_a_tuple_are_the_same_but_order_counts():
    assert fingerprint([1, 2]) == fingerprint((1, 2))
    assert fingerprint([1, 2]) != fingerprint([2, 1])


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ({"search": {"c": float("nan")}}, "recipe.search.c"),
        ({"search": [1.0, float("inf")]}, "recipe.search[1]"),
        ({"levels": {"L1", "L2"}}, "recipe.levels"),
        ({1: "one"}, "recipe"),
        ({"what": object()}, "recipe.what"),
        ({"raw": b"bytes"}, "recipe.raw"),
        ({"seed": 2**64}, "recipe.seed"),
    ],
)
def test_what_has_no_canonical_form_is_refused_and_named(value, place):
    with pytest.raises(RstarError, match="canonical form") as caught:
        fingerprint(value)
    assert str(caught.value).startswith(f"{place}:")


def test_differences_name_each_field_with_its_path():
    old = {"stage": "search", "recipe": {"search": {"rollouts": 16, "c": 2.0}, "retry": [8]}, "gone": 1}
    new = {"stage": "search", "recipe": {"search": {"rollouts": 32, "c": 2.0}, "retry": [8, 16]}, "come": "x"}
    assert list(differences(old, new)) == [
        "come: nothing -> x",
        "gone: 1 -> nothing",
        "recipe.retry: [8] -> [8, 16]",
        "recipe.search.rollouts: 16 -> 32",
    ]


def test_a_long_value_is_cut_short_in_a_difference():
    (line,) = differences({"text": "a" * 500}, {"text": "b" * 500})
    assert len(line) < 150


@steady
@given(VALUES)
def test_a_value_does_not_differ_from_itself(value):
    assert list(differences({"v": value}, {"v": backwards(value)})) == []


def test_a_files_digest_is_that_of_its_bytes(tmp_path):
    (tmp_path / "f").write_bytes(b"abc" * 100_000)
    assert file_sha256(tmp_path / "f") == hashlib.sha256(b"abc" * 100_000).hexdigest()
