"""Which files of a repository a name means: a model, in one file or in parts, and its projector.

    hf:OWNER/REPO               its only model, or else the one in Q4_K_M, or else in Q8_0
    hf:OWNER/REPO:QUANT         the one in this quantisation, or the file of this name
    hf:OWNER/REPO:QUANT#MMPROJ  the same, the projector named by its file

Names are somebody else's text. One that could lead out of a folder, or that cannot be printed, is
no file for us.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from faithful_decide.backends._llamacpp.gguf import PART
from faithful_decide.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["MARK", "HubName", "Pair", "choose", "is_inside"]

MARK = "hf:"
"""What the name of a model on the hub begins with, where a path could stand."""
_NAME = re.compile(
    r"hf:(?P<repo>[A-Za-z0-9_][\w.-]*/[A-Za-z0-9_][\w.-]*)(?::(?P<quant>[^#]+))?(?:#(?P<mmproj>.+))?",
    re.ASCII,
)
_WRITE = "write gguf/hf:OWNER/REPO or gguf/hf:OWNER/REPO:QUANT, as in hf:ggml-org/NAME-GGUF:Q4_K_M"
_PREFERRED = ("Q4_K_M", "Q8_0")
_PROJECTORS = ("Q8_0", "F16", "BF16", "F32")
"""Projectors that differ in nothing else: the smallest that loses nothing worth speaking of."""
_LISTED = 12


@dataclass(frozen=True, slots=True)
class HubName:
    """A model on the hub, as it is written in a spec."""

    repo: str
    quant: str = ""
    mmproj: str = ""

    @classmethod
    def read(cls, text: str) -> HubName:
        """Take a name apart."""
        match = _NAME.fullmatch(text)
        if match is None or ".." in match["repo"] or "--" in match["repo"]:
            msg = f"{text!r} does not name a model on the hub"
            raise UsageError(msg, hint=_WRITE)
        return cls(match["repo"], match["quant"] or "", match["mmproj"] or "")


@dataclass(frozen=True, slots=True)
class Pair:
    """The files of a model: all parts of its weights in their order, and its projector."""

    model: tuple[str, ...]
    mmproj: str


def is_inside(name: str) -> bool:
    """Whether a name is that of a file below the folder it is said to be in, on any system."""
    steps = name.split("/")
    return name.isprintable() and not any(
        step.strip(". ") == "" or set(step) & set('\\:*?"<>|') for step in steps
    )


def choose(name: HubName, files: Iterable[str]) -> Pair:
    """Find the files that a name means among those of its repository."""
    usable = sorted(file for file in files if is_inside(file) and file.lower().endswith(".gguf"))
    # The data that a quantisation was made with has the form of a model, and is none.
    usable = [file for file in usable if "imatrix" not in _base(file).lower()]
    projectors = [file for file in usable if "mmproj" in _base(file).lower()]
    models = _whole(file for file in usable if file not in projectors)
    if not models:
        msg = f"{name.repo} holds no GGUF file of a model"
        hint = "look for a repository of the same model whose name ends in GGUF; one in the form of"
        raise UsageError(msg, hint=f"{hint} Transformers is outlines/{name.repo}")
    key = _model(name, models)
    return Pair(_parts(name, key, models[key]), _projector(name, projectors, key))


def _whole(files: Iterable[str]) -> dict[str, dict[int, str]]:
    """The parts of each model by their numbers; one that is not split has a part of number 1."""
    models: dict[str, dict[int, str]] = {}
    for file in files:
        match = PART.fullmatch(file)
        stem, number = (f"{match[1]}.gguf", int(match[2])) if match else (file, 1)
        models.setdefault(stem, {})[number] = file
    return models


def _model(name: HubName, models: Mapping[str, Mapping[int, str]]) -> str:
    """The model that is meant, by the name of its file without the number of a part."""
    if name.quant:
        fitting = [
            stem
            for stem, parts in models.items()
            if name.quant in {stem, _base(stem), *parts.values(), *map(_base, parts.values())}
        ] or [stem for stem in models if _is_in(name.quant, stem)]
        if len(fitting) == 1:
            return fitting[0]
        if not fitting:
            msg = f"{name.repo} holds no model in {name.quant!r}"
            raise UsageError(msg, hint=f"it has {_listed(models)}")
        msg = f"{len(fitting)} models in {name.repo} are in {name.quant!r}"
        raise UsageError(msg, hint=f"name one by its file: {_listed(fitting)}")
    if len(models) == 1:
        return next(iter(models))
    for quant in _PREFERRED:
        fitting = [stem for stem in models if _is_in(quant, stem)]
        if len(fitting) == 1:
            return fitting[0]
    msg = f"{name.repo} holds {len(models)} models, and none of them is the usual one"
    raise UsageError(msg, hint=f"say which: hf:{name.repo}:QUANT, from {_listed(models)}")


def _parts(name: HubName, stem: str, parts: Mapping[int, str]) -> tuple[str, ...]:
    match = PART.fullmatch(next(iter(parts.values())))
    count = int(match[3]) if match else 1
    missing = [number for number in range(1, count + 1) if number not in parts]
    if missing or len(parts) != count:
        msg = f"{_base(stem)} in {name.repo} comes in {count} parts, and {len(missing)} are missing"
        raise UsageError(msg, hint="choose another quantisation, or tell whoever uploaded it")
    return tuple(parts[number] for number in range(1, count + 1))


def _projector(name: HubName, projectors: Sequence[str], model: str) -> str:
    if name.mmproj:
        if fitting := [file for file in projectors if name.mmproj in {file, _base(file)}]:
            return fitting[0]
        msg = f"{name.repo} holds no projector {name.mmproj!r}"
        hint = f"it has {_listed(projectors)}" if projectors else "leave it out"
        raise UsageError(msg, hint=hint)
    if not projectors:
        msg = f"{name.repo} has no projector (a file with mmproj in its name), so it cannot see"
        raise UsageError(msg, hint="`faithful-decide models` lists some that can")
    beside = [file for file in projectors if _folder(file) == _folder(model)]
    projectors = beside or projectors
    if len(projectors) == 1:
        return projectors[0]
    precisions = {
        file: next((p for p in _PROJECTORS if _is_in(p, file)), "") for file in projectors
    }
    plain = {_base(file).lower().replace(p.lower(), "") for file, p in precisions.items()}
    if len(plain) == 1:
        return min(projectors, key=lambda file: [*_PROJECTORS, ""].index(precisions[file]))
    msg = f"{name.repo} holds {len(projectors)} projectors that differ in more than their precision"
    raise UsageError(msg, hint=f"name one: hf:{name.repo}:QUANT#MMPROJ, from {_listed(projectors)}")


def _is_in(quant: str, file: str) -> bool:
    """Whether a file says that it is in a quantisation; `Q4_K` is not said by `Q4_K_M`."""
    pattern = rf"(?:^|[-._/]){re.escape(quant)}(?:[-./]|$)"
    return re.search(pattern, file, re.IGNORECASE) is not None


def _base(file: str) -> str:
    return file.rpartition("/")[2]


def _folder(file: str) -> str:
    return file.rpartition("/")[0]


def _listed(files: Iterable[str]) -> str:
    names = sorted({_base(file) for file in files})
    return ", ".join(names[:_LISTED]) + (" and more" if len(names) > _LISTED else "")
