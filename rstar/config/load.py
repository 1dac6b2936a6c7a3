"""YAML files merged left to right, then dotted overrides; every error names the file and the field."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from rstar.config.run import merge
from rstar.errors import ConfigError

Model = TypeVar("Model", bound=BaseModel)


def load(kind: type[Model], sources: Sequence[str | Path], under: dict[str, Any] | None = None) -> Model:
    """A validated config from files and overrides in any order: `a.yaml b.yaml search.rollouts=32`.

    A source with an equals sign is an override, its value read as YAML; all others are files. `under` is what they are
    laid over. Raises ConfigError.
    """
    data: dict[str, Any] = under or {}
    files: list[str] = []
    for source in sources:
        text = str(source)
        if "=" in text and not Path(text).is_file():
            _override(data, text)
        else:
            data = merge(data, _file(Path(text)))
            files.append(text)
    return validate(kind, data, " + ".join(files) or "the command line")


def validate(kind: type[Model], data: Any, where: str) -> Model:
    """`data` as a `kind`. Raises ConfigError with the first wrong field, its full path and the reason."""
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        lines = [_explain(item) for item in error.errors()[:5]]
        raise ConfigError(f"{where}: " + "; ".join(lines)) from error


def _explain(item: Any) -> str:
    path = ".".join(str(part) for part in item["loc"])
    if item["type"] == "extra_forbidden":
        return f"{path} is not a setting (see docs/config.md for all of them)"
    if item["type"] == "missing":
        return f"{path} is missing"
    got = "" if isinstance(item["input"], dict) else f", not {item['input']!r}"
    return f"{path}: {item['msg']}{got}"


def _file(path: Path) -> dict[str, Any]:
    """A file's settings, laid over those of the files that its `include` names (relative to it)."""
    own = _read(path)
    under: dict[str, Any] = {}
    for name in own.pop("include", None) or ():
        under = merge(under, _file(path.parent / str(name)))
    merged = merge(under, own)
    assert isinstance(merged, dict)
    return merged


def _read(path: Path) -> dict[str, Any]:
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); a setting is written KEY=VALUE") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8 (byte {error.start})") from error
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        line = f", line {where.line + 1}" if where else ""
        raise ConfigError(f"{path}{line}: not YAML ({getattr(error, 'problem', error)})") from error
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: settings are a mapping of names to values, not a {type(data).__name__}")
    return data


def _override(data: dict[str, Any], text: str) -> None:
    """Set `a.b.c=value` in place; list positions are numbers (`rounds.1.search.rollouts=32`)."""
    path, _, raw = text.partition("=")
    try:
        value = yaml.safe_load(raw) if raw else None
    except yaml.YAMLError as error:
        raise ConfigError(f"{text}: the value is not YAML") from error
    keys = path.strip().split(".")
    at: Any = data
    for depth, key in enumerate(keys):
        last = depth == len(keys) - 1
        if isinstance(at, list):
            if not key.isdigit() or int(key) >= len(at):
                raise ConfigError(f"{text}: {'.'.join(keys[:depth])} has positions 0 to {len(at) - 1}, not {key!r}")
            if last:
                at[int(key)] = value
            at = at[int(key)]
        elif isinstance(at, dict):
            if last:
                at[key] = value
            elif at.get(key) is None:
                at[key] = {}
            at = at[key]
        else:
            raise ConfigError(f"{text}: {'.'.join(keys[:depth])} is a value, not a section")
