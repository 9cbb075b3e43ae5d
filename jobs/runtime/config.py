"""Configuration is validated before Spark starts; a typo names file, key and the nearest valid name."""

from __future__ import annotations

import difflib
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar, cast

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from jobs.runtime.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
SIMULATED = "simulated"  # the file that marks a simulated home


class Strict(BaseModel):
    """A piece of configuration: frozen, and no key it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def resolved(self) -> str:
        """The canonical JSON of what was resolved; this is what gets hashed."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, ensure_ascii=False)


Model = TypeVar("Model", bound=Strict)


def conf_roots() -> tuple[Path, ...]:
    """Where configuration is looked for: the project's conf/, then what a home adds (a simulated world's tenants)."""
    named = os.environ.get("COUNTINGHOUSE_CONF")
    base = Path(named) if named else ROOT / "conf"
    return (base, home() / "conf")


def home() -> Path:
    """COUNTINGHOUSE_HOME, or ./var of the project."""
    return Path(os.environ.get("COUNTINGHOUSE_HOME") or ROOT / "var").resolve()


def simulated() -> bool:
    """Whether this home is a simulated world's; only there may a simulated approver answer."""
    return (home() / SIMULATED).exists()


def digest(*parts: str) -> str:
    """sha2 over length-prefixed parts, so that ("a", "bc") and ("ab", "c") differ."""
    hashed = hashlib.sha256()
    for part in parts:
        encoded = part.encode()
        hashed.update(f"{len(encoded)}:".encode())
        hashed.update(encoded)
    return hashed.hexdigest()


def nearest(name: str, valid: Iterable[str]) -> str:
    """A hint: the valid name closest to a misspelt one, or all of them."""
    names = sorted(valid)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f"did you mean '{close[0]}'?" if close else f"known: {', '.join(names) or 'none'}"


def load(path: Path, model: type[Model]) -> Model:
    """Read one YAML file as `model`. A file whose text has not changed is not parsed again: a run asks many times."""
    shown = display(path)
    try:
        return cast(Model, _parsed(path.read_text(encoding="utf-8"), model))
    except FileNotFoundError:
        siblings = nearest(path.stem, (other.stem for other in path.parent.glob("*.yaml")))
        raise ConfigError(f"{shown} does not exist; {siblings}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        line = getattr(getattr(error, "problem_mark", None), "line", None)
        where = f", line {line + 1}" if line is not None else ""
        raise ConfigError(f"{shown}{where}: not readable as YAML. Nothing was started; mend the file.") from None
    except ValidationError as error:
        raise ConfigError(f"{shown}: {_explain(error, model)} Nothing was started; mend the file.") from None


@lru_cache(maxsize=4096)
def _parsed(text: str, model: type[Strict]) -> Strict:
    return model.model_validate(yaml.load(text, Loader=_LOADER))


def load_all(folder: str, model: type[Model]) -> dict[str, tuple[Path, Model]]:
    """Every conf/<folder>/*.yaml, by file name, a home's own files after the project's."""
    return {path.stem: (path, load(path, model)) for path in files(folder)}


def files(folder: str) -> Iterator[Path]:
    """The YAML files of one folder of conf/, in a fixed order."""
    for root in conf_roots():
        yield from sorted((root / folder).glob("*.yaml"))


def stage_file(stage: str) -> Path:
    """conf/<stage>.yaml; a home's own, where it has one, stands for the project's."""
    own, base = conf_roots()[1] / f"{stage}.yaml", conf_roots()[0] / f"{stage}.yaml"
    return own if own.exists() else base


def display(path: Path) -> str:
    """A path as a person would name it."""
    for root in (ROOT, home()):
        if path.is_relative_to(root):
            return str(path.relative_to(root))
    return str(path)


def _explain(error: ValidationError, model: type[BaseModel]) -> str:
    said = []
    for problem in error.errors():
        keys = [str(part) for part in problem["loc"]]
        where = ".".join(keys) or "the file"
        if problem["type"] == "extra_forbidden":
            valid = _valid_names(model, keys[:-1])
            said.append(f"unknown key '{where}'; {nearest(keys[-1], valid)}.")
        elif problem["type"] == "missing":
            said.append(f"key '{where}' is missing.")
        else:
            said.append(f"key '{where}': {problem['msg']}.")
    return " ".join(said)


def _valid_names(model: Any, keys: list[str]) -> list[str]:
    """The keys that stand beside a misspelt one, found by walking the model's annotations."""
    for key in keys:
        if isinstance(model, type) and issubclass(model, BaseModel) and key in model.model_fields:
            model = model.model_fields[key].annotation
        models = [inner for inner in _unwrap(model) if isinstance(inner, type) and issubclass(inner, BaseModel)]
        model = models[0] if models else model
    return list(model.model_fields) if isinstance(model, type) and issubclass(model, BaseModel) else []


def _unwrap(annotation: Any) -> Iterator[Any]:
    inner = getattr(annotation, "__args__", None)
    if inner is None:
        yield annotation
    else:
        for part in inner:
            yield from _unwrap(part)
