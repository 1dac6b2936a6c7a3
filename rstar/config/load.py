"""YAML files merged left to right, then dotted overrides; every error names the file, the field and its line."""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from rstar.config.run import SHARED, merge
from rstar.config.search import DEFAULT
from rstar.errors import ConfigError

Model = TypeVar("Model", bound=BaseModel)


def load(kind: type[Model], sources: Sequence[str | Path], under: dict[str, Any] | None = None) -> Model:
    """A validated config from files and overrides: `a.yaml b.yaml search.rollouts=32`.

    A source with an equals sign is an override, its value read as YAML; all others are files. Overrides are laid over
    all files, wherever they stand; `under` is what everything is laid over. Raises ConfigError.
    """
    data: dict[str, Any] = under or {}
    texts = [str(source) for source in sources]
    overrides = [text for text in texts if "=" in text and not os.path.isfile(text)]  # false for overlong names
    files = [text for text in texts if text not in overrides]
    for text in files:
        data = merge(data, _file(Path(text)))
    for text in overrides:
        _override(data, text)
    said = [text.partition("=")[0].strip() for text in overrides]
    return validate(kind, data, " + ".join(files) or "the command line", lambda path: place(files, path, said))


def place(files: Sequence[str], path: str, said: Sequence[str] = ()) -> str:
    """Where a setting stands, to be put behind a message: ` (line 3)`, or that it is an override, whose paths are
    `said`. Empty where nobody has it."""
    keys = path.split(".")
    if any(keys[: one.count(".") + 1] == one.split(".") for one in said):
        return " (the command line)" if files else ""
    if path:
        for text in reversed(files):
            for file in _with_includes(Path(text)):
                line = _line(yaml.compose(file.read_text(encoding="utf-8")), keys)
                if line is not None:
                    return f" (line {line})" if files == [str(file)] else f" ({file}, line {line})"
    return ""


def _with_includes(path: Path) -> Iterator[Path]:
    """A readable file, then those that it includes, the last one first: who is asked first has the last word."""
    yield path
    for name in reversed(_read(path).get("include") or []):
        yield from _with_includes(path.parent / name)


def _line(node: yaml.Node | None, keys: Sequence[str]) -> int | None:
    """The line of the key at the end of a path, counted from 1; None where the path leads nowhere."""
    line = None
    for key in keys:
        if isinstance(node, yaml.MappingNode):
            found = next(((name, value) for name, value in node.value if name.value == key), None)
            if found is None:
                return None
            line, node = found[0].start_mark.line + 1, found[1]
        elif isinstance(node, yaml.SequenceNode) and key.isdigit() and int(key) < len(node.value):
            node = node.value[int(key)]
            line = node.start_mark.line + 1
        else:
            return None
    return line


def _nowhere(path: str) -> str:
    return ""


def validate(kind: type[Model], data: Any, where: str, place: Callable[[str], str] = _nowhere) -> Model:
    """`data` as a `kind`. Raises ConfigError with the first wrong fields, their full paths and the reasons.

    `place` says where a setting stands.
    """
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        found = error.errors()
        # A list with a wrong item also counts as too short: only the innermost error says something.
        inner = [item for item in found if not any(_is_inside(other, item) for other in found)]
        lines = dict.fromkeys(_explain(item, data) + place(_written(item["loc"], data)) for item in inner)
        raise ConfigError(f"{where}: " + "; ".join(list(lines)[:5])) from error


def _is_inside(item: Any, outer: Any) -> bool:
    size = len(outer["loc"])
    return len(item["loc"]) > size and bool(item["loc"][:size] == outer["loc"])


def _explain(item: Any, data: Any) -> str:
    path = _written(item["loc"], data)
    if item["type"] == "value_error":
        return f"{path}: {item['ctx']['error']}" if path else str(item["ctx"]["error"])
    if item["type"] == "extra_forbidden":
        return f"{path} is not a setting (see docs/config.md for all of them)"
    if item["type"] == "union_tag_not_found":
        return f"{path}.kind is missing"
    if item["type"] == "missing":
        return f"{path} is missing"
    got = "" if isinstance(item["input"], dict) else f", not {item['input']!r}"
    if item["type"] in ("tuple_type", "list_type"):
        hint = f", such as [{item['input']}]" if isinstance(item["input"], str | int | float) else ""
        return f"{path}: a list is expected{hint}{got}"
    return f"{path}: {item['msg']}{got}"


def _written(location: Sequence[int | str], data: Any) -> str:
    """A location as people write it: without the kinds of unions, and at the top where it stands for all rounds."""
    names, found = _walk(location, data)
    if location[:1] == ("rounds",) and len(location) > 2 and location[2] in SHARED and not found:
        names, _ = _walk(location[2:], data)
    return ".".join(names)


def _walk(location: Sequence[int | str], data: Any) -> tuple[list[str], bool]:
    """The names on the way to a location, and whether `data` has it."""
    names: list[str] = []
    at, found, tagged = data, True, False
    for part in location:
        if isinstance(at, dict) and part not in at and part == at.get("kind", DEFAULT) and not tagged:
            tagged = True
            continue
        names.append(str(part))
        tagged = False
        try:
            at = at[part]
        except (KeyError, IndexError, TypeError):
            at, found = None, False
    return names, found


def plain(path: Path) -> dict[str, Any]:
    """A file's settings as they stand, those that it includes under them, not yet validated. Raises ConfigError."""
    return _file(path)


def _file(path: Path, within: tuple[Path, ...] = ()) -> dict[str, Any]:
    """A file's settings, laid over those of the files that its `include` names (relative to it)."""
    if path.resolve() in within:
        raise ConfigError(f"{path}: include: the file includes itself")
    own = _read(path)
    under: dict[str, Any] = {}
    names = own.pop("include", None) or []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ConfigError(f"{path}: include: a list of file names is expected, not {names!r}")
    for name in names:
        under = merge(under, _file(path.parent / name, (*within, path.resolve())))
    merged = merge(under, own)
    assert isinstance(merged, dict)
    return merged


class _Strict(yaml.SafeLoader):
    """YAML in which a name stands once in a mapping; the library would silently take the last of several."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise yaml.MarkedYAMLError(problem=f"`{key.value}` stands here twice", problem_mark=key.start_mark)
                seen.add(key.value)
        return node


def _read(path: Path) -> dict[str, Any]:
    try:
        data = yaml.load(path.read_text(encoding="utf-8"), _Strict)
    except OSError as error:
        hint = "" if len(path.parts) > 1 else "; a setting is written KEY=VALUE"
        raise ConfigError(f"{path}: cannot be read ({error.strerror}){hint}") from error
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
