"""What of a classifier is alive: its loaded models, and what it has decided so far.

scikit-learn copies, compares, prints and pickles everything that an estimator holds, so nothing of
this is held by one. It is kept beside, by identity, and goes when the estimator goes. A clone asks
the loaded models of its original: a search over questions loads each model once.
"""

from __future__ import annotations

import contextlib
import json
import threading
import weakref
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from faithful_decide._backend import AsyncBackend, Backend
from faithful_decide._image import load_image
from faithful_decide._types import Decision
from faithful_decide.backends import load_backend
from faithful_decide.errors import FaithfulDecideError, ImageError, ReplyError, TransientError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from faithful_decide._decider import Decider
    from faithful_decide._types import Question

__all__ = ["Models", "Outcome", "Session"]

Outcome: TypeAlias = Decision | FaithfulDecideError

_OF_A_ROW = (ReplyError, ImageError, TransientError)
"""What can be wrong with one row; anything else would be wrong with all of them."""
_REMEMBERED = 4096
"""Decisions that are kept, so that `predict_proba` does not pay again for what `predict` asked."""


class Models:
    """Models that were loaded from specs, each once; released with the last who asks for them."""

    def __init__(self) -> None:
        """Start with none."""
        self._lock = threading.Lock()
        self._loaded: dict[str, Backend] = {}
        self._closing = contextlib.ExitStack()
        weakref.finalize(self, self._closing.close)

    def get(self, spec: str, options: Mapping[str, Any]) -> Backend:
        """Load a model, or return it if it was loaded.

        Args:
            spec: A model spec.
            options: Options of the backend.

        Returns:
            The backend; not to be closed.
        """
        key = json.dumps([spec, dict(options)], sort_keys=True, default=repr)
        with self._lock:
            if key not in self._loaded:
                backend = load_backend(spec, **options)
                self._closing.callback(backend.close)
                self._loaded[key] = backend
            return self._loaded[key]


@dataclass
class Session:
    """The decisions of one fitted classifier. Each image is asked about once while it is known."""

    question: Question
    open: Callable[[], Decider]
    """Loads the model, at the first image."""
    concurrency: int
    keep_errors: bool
    last: list[Outcome] | None = None
    _decider: Decider | None = None
    _known: OrderedDict[str, Decision] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def decider(self) -> Decider:
        """Load the model if it is not loaded yet.

        Returns:
            Who decides.
        """
        with self._lock:
            if self._decider is None:
                self._decider = self.open()
            return self._decider

    def decide(self, images: Iterable[Any]) -> list[Outcome]:
        """Decide about images, in order; side by side where the backend waits for a server.

        Args:
            images: The images.

        Returns:
            For each its decision or, if errors are kept, what went wrong with it.
        """
        decider = self.decider()
        if isinstance(decider.backend, AsyncBackend):
            self.last = self._side_by_side(decider, images)
        else:
            self.last = [self._one(decider, image) for image in images]
        return self.last

    def _side_by_side(self, decider: Decider, images: Iterable[Any]) -> list[Outcome]:
        with ThreadPoolExecutor(self.concurrency) as pool:
            futures = [pool.submit(self._one, decider, image) for image in images]
            try:
                return [future.result() for future in futures]
            except BaseException:
                # The first failure ends it; no more is asked, and paid, than is under way.
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _one(self, decider: Decider, image: Any) -> Outcome:  # noqa: ANN401 - what the caller holds
        try:
            loaded = load_image(image)
            with self._lock:
                known = self._known.get(loaded.sha256)
            if known is not None:
                return known
            decision = decider.decide(loaded, self.question)
        except _OF_A_ROW as error:
            if not self.keep_errors:
                raise
            return error
        with self._lock:
            # Two rows with the same image may have been asked about at once; they agree all the
            # same.
            decision = self._known.setdefault(loaded.sha256, decision)
            while len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        return decision
