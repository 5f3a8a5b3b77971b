"""Decisions as a column of a Ray dataset.

    import ray
    from faithful_decide.ray import DecideBatch

    actors = ray.data.ActorPoolStrategy(size=4)
    images = ray.data.read_parquet("images")
    images.map_batches(
        DecideBatch,
        fn_constructor_kwargs={"question": "Is there a dog in this image?", "model": "vllm/NAME"},
        batch_format="pyarrow",
        compute=actors,
    ).write_parquet("dogs")

Each actor loads the model once. A job that was killed starts its dataset anew, and what was replied
until then is in the journals.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from faithful_decide._nearest import hinting
from faithful_decide.errors import MissingExtraError, UsageError

try:
    import pyarrow as pa
except ImportError:
    extra = "ray"
    raise MissingExtraError(extra, needed_for="A column of decisions for Ray") from None

from faithful_decide._api.many import CONCURRENCY
from faithful_decide._api.tables import FIELDS, Asker, check_sendable
from faithful_decide._asking.options import named_in, takes_options, whole
from faithful_decide.backends._loop import Loop

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from faithful_decide._core.types import Question

__all__ = ["DecideBatch"]

_KINDS = {str: pa.string(), int: pa.int64(), float: pa.float64()}
STRUCT = pa.struct([(name, _KINDS[kind]) for name, kind in FIELDS.items()])


@hinting
class DecideBatch:
    """A callable class for `map_batches`, with `batch_format="pyarrow"`."""

    @takes_options()
    def __init__(
        self,
        question: str | Question,
        *,
        image: str = "image",
        decision: str = "decision",
        model: str | None = None,
        concurrency: int = CONCURRENCY,
        **options: Any,  # noqa: ANN401 - those of decide
    ) -> None:
        """Load the model, in the actor.

        Args:
            question: The question; a `Question` brings its own verdicts.
            image: The column of images: paths, bytes, or tensors of 8-bit pixels.
            decision: The column that is added: a struct whose `status` is "decided" or "failed",
                and whose other fields are those of a row of a batch.
            model: A model spec.
            concurrency: How many images are under way at a time, in each actor.
            **options: The options of `decide`, and those of the backend but for its key. A journal
                is a path on the machine where the actor is.

        Raises:
            UsageError: The question, the model or an option cannot be used.
            BackendError: The model could not be loaded.
            StorageError: The journal cannot be used.
        """
        check_sendable(model, options, named_in(type(self)))
        self._image, self._decision = image, decision
        self._concurrency = whole("concurrency", concurrency, 1)
        self._asker = Asker(question, model=model, **options)
        self._loop = Loop()

    def __call__(self, table: pa.Table) -> pa.Table:
        """Add the column.

        Args:
            table: A portion of the dataset.

        Returns:
            The same with the decisions.

        Raises:
            UsageError: It is no table of Arrow, or has no such column.
            AuthError: The server refused the key.
            StorageError: The journal cannot be read or written.
        """
        if not isinstance(table, pa.Table):
            msg = f"a batch is a table of Arrow here, not {type(table).__name__}"
            raise UsageError(msg, hint='pass batch_format="pyarrow" to map_batches')
        if self._image not in table.column_names:
            msg = f"there is no column {self._image!r}, only {', '.join(table.column_names)}"
            raise UsageError(msg, hint='pass fn_constructor_kwargs={"image": NAME, ...}')
        images = _values(table.column(self._image))
        structs = self._loop.run(self._all(images))
        return table.append_column(self._decision, pa.array(structs, STRUCT))

    async def _all(self, images: Sequence[Any]) -> list[dict[str, Any]]:
        free = asyncio.Semaphore(self._concurrency)

        async def one(image: Any) -> dict[str, Any]:  # noqa: ANN401 - see Asker
            async with free:
                return await self._asker.ask(image)

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(one(image)) for image in images]
        except BaseExceptionGroup as errors:
            # What is wrong with every row ends the job; one of them says it.
            raise errors.exceptions[0] from None
        return [task.result() for task in tasks]


def _values(column: Any) -> list[Any]:  # noqa: ANN401 - pyarrow is not typed
    """Tensors, which Arrow would make lists of, as arrays; all else as it is."""
    if isinstance(column.type, pa.BaseExtensionType):
        return [value for chunk in column.chunks for value in chunk.to_numpy(zero_copy_only=False)]
    return list(column.to_pylist())
