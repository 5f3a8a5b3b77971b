"""Finding the two files of a model, and telling them apart from anything else.

A vision-language model in llama.cpp is a pair: the language model, and a projector (`mmproj`) that
holds the vision tower. By custom the projector lies beside the model under a name that starts or
ends with `mmproj`. All that can be wrong with the files is found here, before an engine is started.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from faithful_decide.errors import UsageError

__all__ = ["check_gguf", "digest", "find_pair"]

_MAGIC = b"GGUF"
_SAMPLE = 2**20


def find_pair(spec: str) -> tuple[Path, Path]:
    """Find a model and its projector.

    Args:
        spec: `PATH` or `PATH#MMPROJ`; a projector without a folder is looked for beside the model.

    Returns:
        The model and the projector.

    Raises:
        UsageError: A file is missing or not GGUF, or it is not clear which projector is meant.
    """
    path, _, projector = spec.partition("#")
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
    """Refuse a file that is not there or not GGUF.

    Args:
        path: The file.
        what: What it is meant to be, for the message.

    Raises:
        UsageError: It cannot be read, or does not start as a GGUF file does.
    """
    try:
        with path.open("rb") as file:
            magic = file.read(len(_MAGIC))
    except OSError as error:
        msg = f"{what} {str(path)!r} cannot be read: {error.strerror or error}"
        raise UsageError(msg, hint="check the path of the file") from None
    if magic != _MAGIC:
        msg = f"{what} {str(path)!r} is not a GGUF file"
        raise UsageError(msg, hint="a model in another format has to be converted to GGUF first")


def digest(*paths: Path) -> str:
    """Identify files by their sizes, first and last mebibytes: at once, however large they are.

    Args:
        *paths: The files.

    Returns:
        Sixteen hexadecimal digits.
    """
    sha256 = hashlib.sha256()
    for path in paths:
        size = path.stat().st_size
        sha256.update(f"{size} ".encode())
        with path.open("rb") as file:
            sha256.update(file.read(_SAMPLE))
            file.seek(max(0, size - _SAMPLE))
            sha256.update(file.read(_SAMPLE))
    return sha256.hexdigest()[:16]
