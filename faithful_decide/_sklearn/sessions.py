"""What of a classifier is alive: its loaded models, and what it has decided so far.

scikit-learn copies, compares, prints and pickles everything that an estimator holds, so nothing of
this is held by one. It is kept beside, by identity, and goes when the estimator goes. A clone asks
the loaded models of its original: a search over questions loads each model once.
"""

from __future__ import annotations

import json
import os
import threading
import weakref
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from faithful_decide._api.many import CONCURRENCY
from faithful_decide._api.opening import open_backend, spec_of
from faithful_decide._asking.options import whole
from faithful_decide._batch.journal import Journal
from faithful_decide._batch.journaled import Journaled, journaled
from faithful_decide._batch.row import OF_A_ROW, Item
from faithful_decide._batch.runner import Job, stream
from faithful_decide._core.types import Decision
from faithful_decide._images.load import load_images
from faithful_decide._sklearn.inputs import is_missing
from faithful_decide.backends.base import is_awaitable
from faithful_decide.errors import FaithfulDecideError, ImageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from faithful_decide._asking.options import Options
    from faithful_decide._core.types import Question
    from faithful_decide._images.load import SourceImage
    from faithful_decide.backends.base import Backend

__all__ = ["Models", "Outcome", "Session"]

Outcome: TypeAlias = Decision | FaithfulDecideError

_REMEMBERED = 4096
"""Decisions that are kept, so that `predict_proba` does not pay again for what `predict` asked."""


class Models:
    """Models and journals, each opened once, and closed with the last who asks for them."""

    def __init__(self) -> None:
        """Start with none."""
        self._lock = threading.Lock()
        self._open: dict[str, Any] = {}
        self._owned = ExitStack()
        weakref.finalize(self, self._owned.close)

    def get(
        self,
        model: Backend | str | None,
        options: Mapping[str, Any],
        journal: str | os.PathLike[str] | None,
    ) -> Journaled:
        """Load a model, or return it if it was loaded; it is not to be closed."""
        with self._lock:
            memory = None
            if journal is not None:
                memory = self._opened(
                    f"journal {os.fspath(journal)}",
                    lambda: self._owned.enter_context(Journal(journal)),
                )
            model = spec_of(model)
            if not isinstance(model, str):
                return journaled(open_backend(self._owned, model, options), memory)
            key = json.dumps([model, dict(options)], sort_keys=True, default=repr)
            backend = self._opened(key, lambda: open_backend(self._owned, model, options))
            return journaled(backend, memory)

    def _opened(self, key: str, opening: Callable[[], Any]) -> Any:  # noqa: ANN401 - either
        if key not in self._open:
            self._open[key] = opening()
        return self._open[key]


@dataclass
class Session:
    """The decisions of one fitted classifier. Each image is asked about once while it is known."""

    question: Question
    settings: Options
    concurrency: int | None
    keep_errors: bool
    verbose: bool
    load: Callable[[], Journaled]
    """Loads the model, at the first image."""
    last: list[Outcome] | None = None
    _job: Job | None = None
    _known: dict[tuple[str, ...], Decision] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def job(self) -> Job:
        """Whom to ask, and how; the model is loaded if it is not loaded yet."""
        with self._lock:
            if self._job is None:
                backend, concurrency = self.load(), self.concurrency
                if concurrency is None:
                    concurrency = CONCURRENCY if is_awaitable(backend) else 1
                concurrency = whole("concurrency", concurrency, 1)
                self._job = Job(backend, self.settings, concurrency)
            return self._job

    def decide(self, images: Sequence[Any]) -> list[Outcome]:
        """For each image, in order, its decision or, if errors are kept, what went wrong."""
        outcomes: dict[int, Outcome] = {}
        hashes: dict[int, tuple[str, ...]] = {}
        shown = self._shown(images) if self.verbose else images
        for row in stream(self.job(), self._unknown(shown, outcomes, hashes)):
            number = int(row.id)
            if row.decision is not None:
                outcomes[number] = self._remember(hashes.pop(number), row.decision)
            elif row.error is not None:
                if not (self.keep_errors and isinstance(row.error, OF_A_ROW)):
                    raise row.error
                outcomes[number] = row.error
        self.last = [outcomes[number] for number in range(len(outcomes))]
        return self.last

    def _shown(self, images: Sequence[Any]) -> Iterable[Any]:
        from tqdm import tqdm  # noqa: PLC0415 - slow to load

        shown: Iterable[Any] = tqdm(images, unit=" images")
        return shown

    def _unknown(
        self,
        images: Iterable[Any],
        outcomes: dict[int, Outcome],
        hashes: dict[int, tuple[str, ...]],
    ) -> Iterator[tuple[Item, Mapping[str, Question]]]:
        """What has to be asked; what is known goes straight to the outcomes."""
        for number, image in enumerate(images):
            try:
                loaded = self._loaded(image)
            except ImageError as error:
                yield Item(str(number), error), {"": self.question}
                continue
            key = tuple(one.sha256 for one in loaded)
            with self._lock:
                known = self._known.get(key)
            if known is not None:
                outcomes[number] = known
            else:
                hashes[number] = key
                yield Item(str(number), loaded), {"": self.question}

    def _loaded(self, image: Any) -> tuple[SourceImage, ...]:  # noqa: ANN401 - what stands in the row
        if is_missing(image):
            msg = "there is no image in this row"
            raise ImageError(msg, hint="leave the row out, or fill it in")
        return load_images(image, allow_urls=self.settings.allow_urls)

    def _remember(self, key: tuple[str, ...], decision: Decision) -> Decision:
        with self._lock:
            # Two rows with the same image may have been asked about at once; the first one stands.
            decision = self._known.setdefault(key, decision)
            while len(self._known) > _REMEMBERED:
                del self._known[next(iter(self._known))]
        return decision
