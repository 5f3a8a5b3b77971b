"""Decisions as a column of a Daft table.

    import daft
    from faithful_decide.daft import decide_udf

    ask = decide_udf("Is there a dog in this image?", model="vllm/NAME", journal="dogs.journal")
    table = daft.read_parquet("images/*.parquet")
    table.with_column("dog", ask(table["path"])).write_parquet("dogs")

Daft reads, moves and writes; the column is made of images that are paths, bytes or Daft's own. A
job that was killed starts its table anew, and what was replied until then is in the journal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from faithful_decide._nearest import hinting
from faithful_decide.errors import MissingExtraError

try:
    import daft
except ImportError:
    extra = "daft"
    raise MissingExtraError(extra, needed_for="A column of decisions for Daft") from None

from faithful_decide._api.many import CONCURRENCY
from faithful_decide._api.tables import FIELDS, Asker, check_sendable
from faithful_decide._asking.options import named_in, takes_options, whole
from faithful_decide.backends.registry import loader_to_take_along

if TYPE_CHECKING:
    from collections.abc import Callable

    from faithful_decide._core.types import Question

__all__ = ["decide_udf"]

_KINDS = {str: daft.DataType.string(), int: daft.DataType.int64(), float: daft.DataType.float64()}
STRUCT = daft.DataType.struct({name: _KINDS[kind] for name, kind in FIELDS.items()})


class _Decide(Asker):
    @daft.method(return_dtype=STRUCT)  # type: ignore[untyped-decorator]
    async def __call__(self, image: Any) -> dict[str, Any]:  # noqa: ANN401 - see Asker
        return await self.ask(image)


@hinting
@takes_options()
def decide_udf(
    question: str | Question,
    *,
    model: str | None = None,
    concurrency: int = CONCURRENCY,
    **options: Any,  # noqa: ANN401 - those of decide
) -> Callable[[daft.Expression], daft.Expression]:
    """Make a function of a column of images that gives a column of decisions.

    Args:
        question: The question; a `Question` brings its own verdicts.
        model: A model spec. It is loaded where the rows are.
        concurrency: How many images are under way at a time.
        **options: The options of `decide`, and those of the backend but for its key. A journal is
            a path on the machine where the rows are.

    Returns:
        The function. The column is a struct: `status` is "decided" or "failed", and the other
        fields are those of a row of a batch.

    Raises:
        UsageError: The model or an option cannot be used like this.
    """
    check_sendable(model, options, named_in(decide_udf))
    most = whole("concurrency", concurrency, 1)
    made: Callable[[daft.Expression], daft.Expression] = daft.cls(_Decide, max_concurrency=most)(
        question,
        model=model,
        loader=None if model is None else loader_to_take_along(model),
        **options,
    )
    return made
