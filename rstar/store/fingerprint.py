"""Identity: a digest of canonical JSON, and the fields in which two recipes differ."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from rstar.errors import RstarError


def fingerprint(value: Any) -> str:
    """sha256 over canonical JSON. Raises RstarError on what has no canonical form (sets, NaN, objects, integers
    beyond 64 bits)."""
    _refuse(value, "recipe")
    return hashlib.sha256(orjson.dumps(value, option=orjson.OPT_SORT_KEYS)).hexdigest()


def file_sha256(path: Path) -> str:
    """sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def differences(old: Any, new: Any, path: str = "") -> Iterator[str]:
    """One line for each field that differs: `search.rollouts: 16 -> 32`."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            yield from differences(old.get(key), new.get(key), f"{path}.{key}" if path else str(key))
    elif old != new:
        yield f"{path}: {_brief(old)} -> {_brief(new)}"


def _brief(value: Any) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _refuse(value: Any, path: str) -> None:
    match value:
        case None | bool() | str():
            return
        case int() if -(2**63) <= value < 2**64:
            return
        case float() if value == value and abs(value) != float("inf"):
            return
        case dict():
            for key, item in value.items():
                if not isinstance(key, str):
                    raise RstarError(f"{path}: the key {key!r} is not a string, so it has no canonical form")
                _refuse(item, f"{path}.{key}")
        case list() | tuple():
            for i, item in enumerate(value):
                _refuse(item, f"{path}[{i}]")
        case _:
            raise RstarError(f"{path}: {value!r} has no canonical form")
