"""The reference of all settings, made from the models: `python -m rstar.config.describe > docs/config.md`."""

import types
from collections.abc import Iterator
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from rstar.config.augment import CheckConfig, QuestionsConfig
from rstar.config.benchmark import BenchmarkConfig
from rstar.config.compare import CompareConfig, CompareRow
from rstar.config.data import BuildConfig, SourceConfig
from rstar.config.paper import PaperConfig
from rstar.config.run import SHARED, RoundConfig, RunConfig
from rstar.config.train import FileTrainConfig

HEAD = """\
# Settings

Files are YAML, merged left to right; `KEY.KEY=VALUE` on the command line comes last, and an unknown key is an error.
A file may start from others: `include: [words.yaml]`. `search`, `retry`, `search_problems`, `explore`, `select`,
`policy`, `ppm` and `values` stand once for all rounds, and each entry of `rounds` changes what it names. This page is
made from the code (`make docs`).
"""


def page() -> str:
    """The whole reference as Markdown."""
    parts = [HEAD, _section("A run", RunConfig, skip=SHARED)]
    parts.append(_section("A round: `rounds.N`, and for all rounds at the top", RoundConfig))
    done: set[type[BaseModel]] = {RunConfig, RoundConfig}
    waiting = [*_models(RunConfig), *_models(RoundConfig)]
    while waiting:
        path, model = waiting.pop(0)
        if model not in done:
            done.add(model)
            parts.append(_section(f"`{path}`{_kind(model)}", model))
            waiting += [(f"{path}.{name}", inner) for name, inner in _models(model)]
    parts.append(_section("A comparison: `rstar compare`", CompareConfig))
    parts.append(_section("A comparison's `rows`", CompareRow))
    parts.append(_section("The paper's tables: `rstar paper`", PaperConfig))
    parts += [_section(f"Their `{name}`", model) for name, model in _models(PaperConfig)]
    parts.append(_section("A benchmark: `configs/benchmarks/NAME.yaml`", BenchmarkConfig))
    parts.append(_section("Training from a file: `rstar train`", FileTrainConfig))
    parts.append(_section("A training file: `rstar data build`", BuildConfig))
    parts += [_section(f"Its `{name}`", model) for name, model in _models(BuildConfig)]
    parts.append(_section("New questions: `rstar augment`", QuestionsConfig))
    parts.append(_section("Its `check`", CheckConfig))
    parts.append(_section("A source: `configs/sources/NAME.yaml`, and under `sources`", SourceConfig))
    return "\n".join(parts)


def _section(title: str, model: type[BaseModel], skip: tuple[str, ...] = ()) -> str:
    lines = [f"## {title}\n", _prose(model.__doc__), "", "| setting | value | default | |", "|---|---|---|---|"]
    for name, field in model.model_fields.items():
        if name not in skip and name != "kind":
            lines.append(f"| `{name}` | {_type(field.annotation)} | {_default(field)} | {_prose(field.description)} |")
    return "\n".join(lines) + "\n"


def _models(model: type[BaseModel]) -> Iterator[tuple[str, type[BaseModel]]]:
    for name, field in model.model_fields.items():
        for one in _leaves(field.annotation):
            if isinstance(one, type) and issubclass(one, BaseModel):
                yield name, one


def _leaves(annotation: Any) -> Iterator[Any]:
    arguments = get_args(annotation)
    if not arguments:
        yield annotation
    for argument in arguments:
        yield from _leaves(argument)


def _kind(model: type[BaseModel]) -> str:
    field = model.model_fields.get("kind")
    return f" with `kind: {field.default}`" if field else ""


def _type(annotation: Any) -> str:
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(_type(one) for one in get_args(annotation)))
    if origin is not None and get_args(annotation):
        name = getattr(origin, "__name__", str(origin))
        if name == "Literal":
            return ", ".join(f"`{value}`" for value in get_args(annotation))
        if name == "Annotated":
            return _type(get_args(annotation)[0])
        return f"{name} of " + ", ".join(_type(one) for one in get_args(annotation) if one is not ...)
    if annotation is type(None):
        return "null"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "section"
    return str(getattr(annotation, "__name__", annotation))


def _default(field: FieldInfo) -> str:
    if field.default is PydanticUndefined:
        return "required"
    if isinstance(field.default, BaseModel):
        return ""
    return "null" if field.default is None else f"`{field.default}`"


def _prose(text: str | None) -> str:
    return " ".join((text or "").split())


if __name__ == "__main__":
    print(page(), end="")
