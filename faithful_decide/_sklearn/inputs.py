"""What may stand in the place of X: images in any form, or plain rows of numbers.

Code around classifiers passes tables about. Here a row is an image: a path, bytes, a PIL image or
an array, in a list, in a column of a data frame or stacked as (N, H, W, C). A row of plain numbers
is an image too, as it is in `sklearn.datasets.load_digits`: its numbers are the cells of a square
picture, row by row, dark where they are low. The range from dark to light is that of the whole
table, so that pictures of one table can be compared, and it is fixed once.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from faithful_decide._images.load import SourceImage
from faithful_decide.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["DataError", "column_in", "images_in", "is_missing", "pictures"]

Numbers: TypeAlias = np.ndarray[Any, np.dtype[Any]]

_STACK, _GREY_STACK = 4, 3
_PICTURE_SIDE = 64
"""Pixels that a picture of numbers is at least enlarged to; models do not see a cell of one."""


class DataError(UsageError, ValueError):
    """X or y cannot be used; a `ValueError` too, because that is what code around them catches."""


def images_in(data: Any) -> list[Any] | None:  # noqa: ANN401 - whatever the caller holds
    """Find the images in X, one per row; None if X is a table of numbers, or nothing of ours.

    A row without an image (None, NaN, `pandas.NA`) is the error of that row.
    """
    if _is_image(data, in_array=False):
        msg = "X is one image, not a sequence of images"
        raise DataError(msg, hint="pass [image]")
    if hasattr(data, "to_pylist"):  # pyarrow
        data = _of_arrow(data)
    if type(data) is dict or hasattr(data, "columns"):  # a sparse matrix may be a kind of dict
        return _in_table(data)
    if isinstance(data, np.ndarray):
        return _in_array(data)
    if not isinstance(data, (list, tuple, Iterator)) and not hasattr(data, "to_list"):
        return None  # a series has it
    return _rows(list(data))


def _in_array(data: Numbers) -> list[Any] | None:
    if data.ndim == _STACK or (data.ndim == _GREY_STACK and data.dtype == np.uint8):
        if data.dtype != np.uint8:
            msg = f"pixels are 8-bit numbers, not {data.dtype}"
            raise DataError(msg, hint="convert the array, such as (x * 255).astype('uint8')")
        return list(data)
    if data.ndim == 2 and data.shape[1] == 1:  # noqa: PLR2004 - a column
        data = data[:, 0]
    return _rows(list(data)) if data.ndim == 1 else None


def _rows(rows: list[Any]) -> list[Any] | None:
    if not rows:
        msg = "there is no image in X"
        raise DataError(msg, hint="pass at least one")
    return rows if _are_images(rows) else None


def column_in(data: Any) -> str | None:  # noqa: ANN401 - whatever the caller holds
    """What the column of images is called, if X is a table."""
    if hasattr(data, "to_pylist") and hasattr(data, "column_names"):
        names = list(data.column_names)
    elif hasattr(data, "columns"):
        names = list(data.columns)
    else:
        return None
    return names[0] if len(names) == 1 and isinstance(names[0], str) else None


def _of_arrow(data: Any) -> Any:  # noqa: ANN401 - pyarrow is not typed
    """The columns of a table of pyarrow under their names, or the values of a column."""
    if hasattr(data, "column_names"):
        return {name: data.column(name).to_pylist() for name in data.column_names}
    return data.to_pylist()


def _in_table(table: Any) -> list[Any] | None:  # noqa: ANN401 - of any library
    columns = list(table if type(table) is dict else table.columns)
    found = [name for name in columns if _are_images(table[name])]
    if not found:
        return None
    if len(columns) > 1:
        msg = f"X has images in the column {found[0]!r} and {len(columns) - 1} columns beside it"
        raise DataError(msg, hint=f"pass X[[{found[0]!r}]]")
    return list(table[found[0]])


def _are_images(rows: Iterable[Any]) -> bool:
    """Whether the first row that is there is an image; without any, there are none to be seen."""
    # A list that is empty, or lacks one of its images, is the error of its row as well.
    there = (
        row for row in rows if not (is_missing(row) or (type(row) in {list, tuple} and not row))
    )
    first = next(there, None)
    return first is None or _is_image(first, in_array=True)


def is_missing(value: object) -> bool:
    """Whether a cell holds nothing: None, NaN, or what tables have in their place."""
    if value is None or type(value).__name__ in {"NAType", "NaTType"}:
        return True
    return isinstance(value, float | np.floating) and bool(np.isnan(value))


def _is_image(value: object, *, in_array: bool) -> bool:
    if isinstance(value, np.ndarray):
        return in_array and value.ndim in {2, 3}
    if isinstance(value, (str, bytes, bytearray, memoryview, os.PathLike, SourceImage)):
        return True
    if isinstance(value, Mapping) and {"bytes", "path"} & value.keys():
        return True
    if in_array and isinstance(value, (list, tuple)):  # several that belong together
        return any(isinstance(p, np.ndarray) or _is_image(p, in_array=False) for p in value)
    # A PIL image has no common base with files, but both of them say where they come from.
    return type(value).__module__.startswith("PIL.") or callable(getattr(value, "read", None))


def pictures(table: Numbers, low: float, high: float) -> list[Numbers]:
    """Draw the rows of a table of numbers as square grey pictures.

    `low` is drawn black and `high` white, as is what lies beyond. Cells for which a row has no
    number are black.
    """
    count, width = table.shape
    side = math.ceil(math.sqrt(width))
    cells = np.zeros((count, side * side), np.uint8)
    span = (high - low) or 1.0
    cells[:, :width] = np.clip((table - low) / span * 255, 0, 255).round()
    factor = math.ceil(_PICTURE_SIDE / side)
    squares = cells.reshape(count, side, side).repeat(factor, axis=1).repeat(factor, axis=2)
    return list(squares)
