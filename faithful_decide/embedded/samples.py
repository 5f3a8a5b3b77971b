"""A folder of labelled pictures, in the layout of an image folder with a `metadata.csv`."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from faithful_decide._nearest import hinting
from faithful_decide.embedded.scenes import draw, make_scene
from faithful_decide.errors import StorageError, UsageError

if TYPE_CHECKING:
    import os

__all__ = ["QUESTION", "write_samples"]

QUESTION = "Does this image show anything funny?"
COLUMNS = ("file_name", "question", "label")
_PICTURE = re.compile(r"scene-\d{4,}\.png")


@hinting
def write_samples(
    folder: str | os.PathLike[str], *, n: int = 100, seed: int = 0, force: bool = False
) -> Path:
    """Write pictures and a `metadata.csv` with the right verdict of each, half of them "yes".

    What an earlier call wrote into the folder is replaced. One that holds anything else is refused
    without `force`; with it, what else is there stays, but for files that have the same name.
    """
    place = Path(folder)
    rng = Random(f"samples {seed}")  # noqa: S311 - reproducible, no secret
    labels = (["yes", "no"] * n)[:n]
    rng.shuffle(labels)
    names = [f"scene-{number:04}.png" for number in range(1, n + 1)]
    try:
        _clear(place, force=force)
        with (place / "metadata.csv").open("w", encoding="utf-8", newline="") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(COLUMNS)
            table.writerows(
                (name, QUESTION, label) for name, label in zip(names, labels, strict=True)
            )
        for name, label in zip(names, labels, strict=True):
            draw(make_scene(rng.getrandbits(32), funny=label == "yes")).save(place / name)
    except OSError as error:
        msg = f"the samples cannot be written to {place}: {error.strerror or error}"
        raise StorageError(
            msg, hint="name a folder that you may write to, with room in it"
        ) from None
    return place / "metadata.csv"


def _clear(place: Path, *, force: bool) -> None:
    """Make the folder, empty it of earlier samples, and refuse one that holds other things."""
    if place.exists() and not place.is_dir():
        msg = f"{place} is a file"
        raise UsageError(msg, hint="name a folder; it is made if it is not there")
    place.mkdir(parents=True, exist_ok=True)
    files = list(place.iterdir())
    others = [file for file in files if not _PICTURE.fullmatch(file.name)]
    table = place / "metadata.csv"
    ours = others == [table] and _first_line(table) == ",".join(COLUMNS)
    if files and not ours and not force:
        msg = f"{place} holds files that are no samples"
        raise UsageError(msg, hint="name another folder, or pass force=True to write beside them")
    for file in files if ours else ():
        file.unlink()


def _first_line(path: Path) -> str:
    with path.open(encoding="utf-8", errors="replace") as file:
        return file.readline(80).rstrip("\n")
