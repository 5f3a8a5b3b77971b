"""Finding the two files of a model, and telling them apart from anything else.

A vision-language model in llama.cpp is a pair: the language model, and a projector (`mmproj`) that
holds the vision tower. By custom the projector lies beside the model under a name that starts or
ends with `mmproj`. All that can be wrong with the files is found here, before an engine is started.
"""

from __future__ import annotations

import re
from pathlib import Path

from faithful_decide.errors import UsageError

__all__ = ["PART", "check_gguf", "find_pair", "parts_of"]

_MAGIC = b"GGUF"
PART = re.compile(r"(.*)-(\d{5})-of-(\d{5})\.gguf", re.DOTALL)
"""The file of a model that is split: its name, the number of this part, and how many there are."""


def find_pair(spec: str) -> tuple[Path, Path]:
    """Find the files that `PATH` or `PATH#MMPROJ` names; a bare MMPROJ may lie beside the model."""
    path, projector = _cut(spec)
    if not path:
        msg = "a GGUF model needs the path of its file"
        raise UsageError(msg, hint="write gguf/PATH or gguf/PATH#MMPROJ")
    model = Path(path).expanduser()
    check_gguf(model, "the model")
    if not projector:
        return model, _sibling(model)
    mmproj = Path(projector).expanduser()
    if not mmproj.exists() and (model.parent / mmproj).exists():
        mmproj = model.parent / mmproj
    check_gguf(mmproj, "the projector")
    return model, mmproj


def _cut(spec: str) -> tuple[str, str]:
    """Cut at the `#` that stands before the projector: a path may have others."""
    places = [*(match.start() for match in re.finditer("#", spec)), len(spec)]
    cuts = [(spec[:place], spec[place + 1 :]) for place in places]
    for path, projector in reversed(cuts):
        if Path(path).expanduser().is_file():
            return path, projector
    # There is no such file; the message had better name what looks like one.
    return next((cut for cut in cuts if cut[0].endswith(".gguf")), cuts[0])


def _sibling(model: Path) -> Path:
    beside = {path for path in model.parent.glob("*mmproj*.gguf") if path.is_file()} - {model}
    if len(beside) > 1:
        # Several models may share a folder; then the projector carries the name of its model.
        beside = {path for path in beside if model.stem in path.stem} or beside
    if len(beside) == 1:
        (only,) = beside
        check_gguf(only, "the projector")
        return only
    count = f"{len(beside)} projectors lie" if beside else "no projector lies"
    msg = f"{count} beside {model.name}, so it is not known how the model is to see"
    raise UsageError(msg, hint="name the projector: gguf/PATH#MMPROJ")


def check_gguf(path: Path, what: str) -> None:
    """Refuse a file that is not there, cannot be read, or does not start as a GGUF file does."""
    try:
        if not path.is_file() and path.exists():
            raise IsADirectoryError(0, "it is no ordinary file")
        with path.open("rb") as file:
            magic = file.read(len(_MAGIC))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        msg = f"{what} {str(path)!r} cannot be read: {reason}"
        raise UsageError(msg, hint="check the path of the file") from None
    if magic != _MAGIC:
        msg = f"{what} {str(path)!r} is not a GGUF file"
        raise UsageError(msg, hint="a model in another format has to be converted to GGUF first")


def parts_of(model: Path) -> list[Path]:
    """The files that a model consists of: a large one may be split, and is named by any part."""
    if (match := PART.fullmatch(model.name)) is None:
        return [model]
    name, _, count = match.groups()
    return [model.with_name(f"{name}-{n:05}-of-{count}.gguf") for n in range(1, int(count) + 1)]
