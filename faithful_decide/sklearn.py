"""A classifier for code that expects scikit-learn: images go in, labels with reasons come out.

    from faithful_decide.sklearn import VerdictClassifier

    classifier = VerdictClassifier("Is there a dog in this image?", model="embedded").fit()
    classifier.predict(["park.jpg", "street.jpg"])      # array(['yes', 'no'], dtype='<U3')
    classifier.decisions_[0].reasoning                  # why

Nothing is trained: the question says what the classes are, so labels are not needed to predict. Nor
are they shown to the model. A prompt holds one image, and examples of other images cannot be put
beside it honestly; labels are used to calibrate its probabilities, for which all of them count as
held out, because it has seen none.

A label is a verdict that the model reached. Where it reached none there is no label: the error is
raised or, with `error_policy="abstain"`, the row gets `cannot_tell`, which then is a class of its
own. A calibrated probability may disagree with a verdict; `predict` keeps to the verdict, because
that is what the reasons lead to.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias

from faithful_decide._nearest import hinting
from faithful_decide.errors import (
    FaithfulDecideError,
    MissingExtraError,
    UnsupportedError,
    UsageError,
)

try:
    import numpy as np
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.frozen import FrozenEstimator
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import (
        check_consistent_length,
        check_is_fitted,
        column_or_1d,
        validate_data,
    )
except ImportError:
    extra = "sklearn"
    raise MissingExtraError(extra, needed_for="A classifier for scikit-learn") from None

from faithful_decide._asking.options import YES_NO, Options, named_in
from faithful_decide._asking.plans import TIMEOUT_S
from faithful_decide._batch.review import check_threshold, is_for_person
from faithful_decide._core.types import CANNOT_TELL, Question
from faithful_decide._nearest import unknown as hint_for
from faithful_decide._sklearn.classes import classes_of
from faithful_decide._sklearn.inputs import (
    DataError,
    column_in,
    images_in,
    is_missing,
    pictures,
)
from faithful_decide._sklearn.sessions import Models, Outcome, Session
from faithful_decide.calibration import Certificate

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Sequence

    from faithful_decide.backends.base import Backend

__all__ = ["DataError", "VerdictClassifier"]

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]


class _Live:
    """What is alive of one classifier, beside it."""

    def __init__(self) -> None:
        self.models = Models()
        self.session: Session | None = None


_LIVE: weakref.WeakKeyDictionary[VerdictClassifier, _Live] = weakref.WeakKeyDictionary()
_LOCK = threading.Lock()


@hinting
class VerdictClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc] # untyped bases
    """Classifies images by asking a closed question about each.

    X is a sequence of images: paths, bytes, PIL images or arrays, as a list, a series, a one-column
    data frame or an array (N, H, W, C). A row may be a list or tuple of images that belong
    together. A table of numbers is taken as flattened grey images, as in
    `sklearn.datasets.load_digits`; `fit` has to see one, to learn from which number to which its
    greys go.

    What `fit` leaves behind: `classes_`, the labels in sorted order; `question_`, the question as
    it is asked; and `calibrator_` if there is one. Pickles hold no model, no key and no decisions:
    a classifier that was read back loads its model again at the first image. A clone shares the
    loaded models of its original.
    """

    def __init__(
        self,
        question: str,
        *,
        verdicts: Sequence[str] | Mapping[str, Any] | Literal["labels"] = YES_NO,
        definitions: Mapping[str, str] | None = None,
        context: str = "",
        regions: bool = False,
        model: Backend | str | None = None,
        samples: int = 1,
        abstain: bool = False,
        error_policy: Literal["raise", "abstain"] = "raise",
        calibrate: Literal["sigmoid", "isotonic", "temperature"] | None = None,
        seed: int | None = None,
        max_tokens: int = 512,
        retries: int = 0,
        timeout: float = TIMEOUT_S,
        allow_urls: bool = False,
        concurrency: int | None = None,
        journal: str | os.PathLike[str] | None = None,
        review: Certificate | float | None = None,
        options: Mapping[str, Any] | None = None,
        verbose: bool = False,
    ) -> None:
        """Keep the parameters; they are checked by `fit`.

        Args:
            question: The question that is asked about each image.
            verdicts: The verdicts to choose from; labels are the same words, or 1 and 0 for "yes"
                and "no". Or a mapping from verdicts to the labels they stand for, such as
                {"cat": 0, "dog": 1}, which may give two verdicts one label. Or "labels": the
                labels that `fit` sees are the verdicts, as they are written. Some tools encode
                labels as numbers on the way (`cross_val_predict` for probabilities,
                `VotingClassifier`): pass them numbers and a mapping.
            definitions: What verdicts mean, as in "any crack or dent" for "damaged".
            context: What has to be known to decide, such as a rule or a policy.
            regions: Whether each observation says where in the image it is.
            model: A model spec, or a loaded backend. A classifier with a loaded backend can be
                cloned but not pickled, and a grid over models is one over specs.
            samples: How many times to reason independently about each image. Needed for
                `predict_proba` where the backend gives no token probabilities.
            abstain: Whether the model may say `cannot_tell`, which then is a class. Where labels
                are not strings, say in `verdicts` which label it stands for.
            error_policy: What to do about a row whose image cannot be read, whose reply holds no
                verdict or whose request failed: "raise" the error, or "abstain", which labels it
                `cannot_tell` and keeps the error in `decisions_`. What is wrong with every row, a
                refused key or the same failure ten times in a row, is always raised.
            calibrate: How `fit` calibrates probabilities on the labels it is given: a method of
                `CalibratedClassifierCV`. `cannot_tell` keeps its probability, and the others share
                what is left as calibrated.
            seed: Makes samples reproducible.
            max_tokens: The longest reply.
            retries: How many more times to ask if a reply breaks the contract.
            timeout: Seconds for each image.
            allow_urls: Whether images may be fetched from http(s) URLs.
            concurrency: How many images are under way at a time; by default 32 where a server
                computes.
            journal: The path of a journal. Replies are kept in it, and what it knows is not asked
                again: not by clones, nor by tomorrow's run.
            review: From which probability a verdict stands by itself, or the certificate that
                `calibration.certify` has made of labels; the others are for a person, as
                `for_review` says.
            options: Options of the backend that `model` names, such as base_url. An API key is not
                one of them, because parameters are printed, copied and pickled: it is taken from
                the environment, or comes with a loaded backend.
            verbose: Whether to show how far it is.

        Raises:
            UsageError: There is an API key among the options.
        """
        _refuse((), options)
        self.question = question
        self.verdicts = verdicts
        self.definitions = definitions
        self.context = context
        self.regions = regions
        self.review = review
        self.model = model
        self.samples = samples
        self.abstain = abstain
        self.error_policy = error_policy
        self.calibrate = calibrate
        self.seed = seed
        self.max_tokens = max_tokens
        self.retries = retries
        self.timeout = timeout
        self.concurrency = concurrency
        self.allow_urls = allow_urls
        self.journal = journal
        self.options = options
        self.verbose = verbose

    def set_params(self, **params: Any) -> Self:  # noqa: ANN401 - any parameter
        """Set parameters; they hold from the next `fit` on.

        Args:
            **params: Parameters by name.

        Returns:
            The classifier.

        Raises:
            UsageError: There is an API key among the options, or no such parameter.
        """
        own = self.get_params(deep=False)
        _refuse([name for name in params if name not in own], params.get("options"))
        super().set_params(**params)
        return self

    def fit(self, X: Any = None, y: Any = None, sample_weight: Any = None) -> Self:  # noqa: ANN401, N803 - as scikit-learn has it
        """Check the parameters, load the model and find out the classes.

        The model is asked about X only to calibrate. Without labels the classes are the verdicts.

        Args:
            X: Images, or a table of numbers.
            y: Their labels.
            sample_weight: How much each label counts where probabilities are calibrated; nothing
                else is learned.

        Returns:
            The classifier.

        Raises:
            UsageError: A parameter, X or y cannot be used.
            BackendError: The model could not be loaded or run.
            ReplyError: A reply holds no verdict that can be used, while calibrating.
        """
        self._range: tuple[float, float] | None = None
        images = None if X is None else self._images(X, reset=True)
        if y is not None:
            if images is None:
                msg = "there are labels but no images"
                raise DataError(msg, hint="fit(X, y), or fit() without labels")
            y = _labels(y)
            check_consistent_length(images, y)
        weights = None if sample_weight is None else _weights(sample_weight, images)
        self._classes = classes_of(self.verdicts, y, abstain=self.abstain)
        self.classes_ = self._classes.names
        self.question_ = Question(
            self.question,
            self._classes.verdicts,
            self.context,
            _plain(self.regions),
            abstain=_plain(self.abstain),
            definitions=self.definitions or {},
        )
        self._check_policy()
        live = self._live()
        live.session = self._session(live.models)
        live.session.job()
        self.calibrator_ = None
        if self.calibrate is not None:
            if images is None or y is None:
                msg = "there is nothing to calibrate on"
                raise DataError(msg, hint="fit(X, y) with images and their labels")
            self.calibrator_ = self._calibrator(live.session.decide(images), y, weights)
        return self

    def predict(self, X: Any) -> Array:  # noqa: ANN401, N803
        """Decide about images and name the labels.

        Args:
            X: Images, as for `fit`.

        Returns:
            For each the label of the verdict that the model reached.

        Raises:
            UsageError: X cannot be used.
            BackendError: The model could not be run.
            ReplyError: A reply holds no verdict that can be used, and errors are raised.
        """
        outcomes = self.decide(X)
        named: Array = self.classes_[[self._classes.place(one) for one in outcomes]]
        return named

    def predict_proba(self, X: Any) -> Array:  # noqa: ANN401, N803
        """Decide about images and give the probability of each class.

        They are read from the tokens of the verdict or, with `samples`, are shares of replies. A
        row that abstained because of an error has all of its probability on `cannot_tell`.

        Args:
            X: Images, as for `fit`.

        Returns:
            One row for each image, which sums to 1, with a column for each of `classes_`.

        Raises:
            UsageError: X cannot be used, or the backend gives no probabilities.
            BackendError: The model could not be run.
            ReplyError: A reply holds no verdict that can be used, and errors are raised.
        """
        outcomes = self.decide(X)  # first: it knows whether this was fitted
        shares = self._classes.shares(outcomes)
        return shares if self.calibrator_ is None else self._calibrated(shares, self.calibrator_)

    def decide(self, X: Any) -> list[Outcome]:  # noqa: ANN401, N803
        """Decide about images and keep the reasons.

        An image that this classifier has decided about before is not asked about again while it
        remembers it, which it does until the next `fit`, for some thousands of images.

        Args:
            X: Images, as for `fit`.

        Returns:
            For each its `Decision` or, with `error_policy="abstain"`, the error in its place.

        Raises:
            UsageError: X cannot be used.
            BackendError: The model could not be run.
            ReplyError: A reply holds no verdict that can be used, and errors are raised.
        """
        check_is_fitted(self, "classes_")
        images = self._images(X, reset=False)
        live = self._live()
        if live.session is None:  # read back from a pickle
            live.session = self._session(live.models)
        return live.session.decide(images)

    def for_review(self, X: Any) -> Array:  # noqa: ANN401, N803
        """Decide about images and say which of them a person should look at.

        These are verdicts that are less probable than `review` says, or nobody knows how probable;
        and rows that abstained. Without `review`, only those that abstained.

        Args:
            X: Images, as for `fit`.

        Returns:
            True for each that is for a person.

        Errors are those of `predict`, and a UsageError where `review` is no probability.
        """
        outcomes = self.decide(X)
        limit = self.review.limit if isinstance(self.review, Certificate) else self.review
        if limit is not None and not isinstance(self.review, Certificate):
            check_threshold(limit)
        return np.array([is_for_person(outcome, limit) for outcome in outcomes], bool)

    @property
    def decisions_(self) -> list[Outcome]:
        """The decisions of the last call, with their reasons; in threads, use `decide`."""
        session = self._live().session
        if session is None or session.last is None:
            msg = "nothing was decided yet"
            raise AttributeError(msg)
        return session.last

    def __sklearn_tags__(self) -> Any:  # noqa: ANN401 - scikit-learn is not typed
        """Say what this classifier takes and promises."""
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.target_tags.required = False
        # It answers its question, whatever the labels of a table may be about.
        tags.classifier_tags.poor_score = True
        tags.non_deterministic = self.samples != 1 and self.seed is None
        return tags

    def __sklearn_clone__(self) -> Self:
        """Copy the parameters; a live model is shared, as are the models that were loaded."""
        bare = type(self).__new__(type(self))
        bare.__dict__.update(self.__dict__, model=None)
        twin: Self = super(VerdictClassifier, bare).__sklearn_clone__()
        twin.model = self.model
        twin._live().models = self._live().models
        return twin

    def __getstate__(self) -> dict[str, Any]:
        """Keep what is plain data.

        Raises:
            UnsupportedError: The model is a loaded one.
        """
        if not (self.model is None or isinstance(self.model, str)):
            msg = "a classifier around a loaded model cannot be pickled"
            raise UnsupportedError(msg, hint='name the model by a spec, such as model="embedded"')
        state: dict[str, Any] = super().__getstate__()
        return state

    def _live(self) -> _Live:
        with _LOCK:
            return _LIVE.setdefault(self, _Live())

    def _session(self, models: Models) -> Session:
        """Say how to ask from now on; later changes of parameters wait for the next `fit`."""
        settings = Options(
            samples=self.samples,
            seed=self.seed,
            max_tokens=self.max_tokens,
            retries=self.retries,
            timeout=self.timeout,
            allow_urls=self.allow_urls,
            journal=self.journal,
        )
        load = partial(models.get, self.model, dict(self.options or {}), self.journal)
        keep = self.error_policy == "abstain"
        return Session(self.question_, settings, self.concurrency, keep, bool(self.verbose), load)

    def _check_policy(self) -> None:
        if self.error_policy not in {"raise", "abstain"}:
            msg = f"there is no error_policy {self.error_policy!r}"
            raise UsageError(msg, hint='use "raise" or "abstain"')
        if self.error_policy == "abstain" and not self._classes.apart:
            msg = "a row with an error can abstain only where abstaining is a class of its own"
            hint = f'pass abstain=True and a label of its own for {CANNOT_TELL!r}, or "raise"'
            raise UsageError(msg, hint=hint)

    def _images(self, data: Any, *, reset: bool) -> list[Any]:  # noqa: ANN401 - see images_in
        column = column_in(data)
        images = images_in(data)
        if images is not None:
            if reset:
                self.n_features_in_ = 1
                if column is not None:
                    self.feature_names_in_ = np.array([column], dtype=object)
            return images
        if not reset and self._range is None:
            msg = "X is a table of numbers, and fit has seen none"
            raise DataError(msg, hint="fit with such a table, so that the range of greys is known")
        table = validate_data(self, data, reset=reset)
        low, high = self._range or (float(table.min()), float(table.max()))
        self._range = low, high
        return list(pictures(table, low, high))

    def _calibrator(self, outcomes: Sequence[Outcome], y: Array, weights: Array | None) -> Any:  # noqa: ANN401 - untyped
        columns = self._classes.decided
        kept = [not isinstance(one, FaithfulDecideError) for one in outcomes]
        usable = np.isin(y, self.classes_[columns]) & np.array(kept)
        missing = set(self.classes_[columns]) - set(y[usable])
        if missing:
            msg = f"there is no usable row of the class {next(iter(missing))} to calibrate on"
            raise DataError(msg, hint="pass labelled images of every class")
        given = _given(self._classes.shares(outcomes)[usable][:, columns])
        # It asks for two rows of each class; nothing is fitted but the calibration.
        base = _Frozen(_Given(self.classes_[columns]))
        weights = None if weights is None else weights[usable]
        calibrator = CalibratedClassifierCV(base, method=self.calibrate, cv=2)
        return calibrator.fit(given, y[usable], sample_weight=weights)

    def _calibrated(self, shares: Array, calibrator: Any) -> Array:  # noqa: ANN401 - untyped
        columns = self._classes.decided
        mass = shares[:, columns].sum(axis=1, keepdims=True)
        calibrated = shares.copy()
        calibrated[:, columns] = mass * calibrator.predict_proba(_given(shares[:, columns]))
        return calibrated


class _Frozen(FrozenEstimator):  # type: ignore[misc] # an untyped base
    """Takes weights, which weigh nothing here: they are for the calibration on top."""

    def fit(self, X: Array, y: Array, sample_weight: Array | None = None) -> Self:  # noqa: ARG002, N803
        return self


class _Given(ClassifierMixin, BaseEstimator):  # type: ignore[misc] # untyped bases
    """A classifier whose X is its probabilities, for machinery that wants to ask a classifier."""

    def __init__(self, classes: Array) -> None:
        self.classes = classes
        self.classes_ = classes

    def fit(self, X: Array, y: Array) -> Self:  # noqa: ARG002, N803 - nothing to learn
        return self

    def predict(self, X: Array) -> Array:  # noqa: N803 - asked for, not used
        named: Array = self.classes_[X.argmax(axis=1)]
        return named

    def predict_proba(self, X: Array) -> Array:  # noqa: N803
        return X


def _plain(value: Any) -> Any:  # noqa: ANN401 - whatever a grid holds
    """A value of a grid of parameters, which numpy has made its own."""
    return value.item() if isinstance(value, np.generic) else value


def _labels(y: Any) -> Array:  # noqa: ANN401 - whatever the caller holds
    """Labels, all of which are there."""
    y = y.to_pylist() if hasattr(y, "to_pylist") else y
    labels: Array = column_or_1d(y, warn=True)
    if missing := [row for row, label in enumerate(labels.tolist()) if is_missing(label)]:
        msg = f"y has no label in row {missing[0]}"
        raise DataError(msg, hint="leave out rows without a label, in X and in y")
    check_classification_targets(labels)
    return labels


def _weights(weights: Any, images: Sequence[Any] | None) -> Array:  # noqa: ANN401 - as y
    """Weights of labels, as numbers of which some count."""
    numbers = np.asarray(weights, dtype=float)
    if numbers.ndim != 1 or numbers.shape[0] != len(images or ()):
        msg = f"sample_weight has the shape {numbers.shape}, and X has {len(images or ())} rows"
        raise DataError(msg, hint="pass one number for each row")
    if not np.isfinite(numbers).all() or (numbers < 0).any() or not numbers.any():
        msg = "sample_weight has a number that is no weight, or is all zeros: Sample weights must"
        msg += " contain at least one non-zero number"
        raise DataError(msg, hint="pass numbers from 0, not all of them 0")
    return numbers


def _given(shares: Array) -> Array:
    """Probabilities under the condition that something was decided; even if that never happens."""
    mass = shares.sum(axis=1, keepdims=True)
    even = np.full_like(shares, 1 / shares.shape[1])
    given: Array = np.divide(shares, mass, out=even, where=mass > 0)
    return given


def _refuse(unknown: Iterable[str], options: object) -> None:
    for name in unknown:
        msg = f"there is no parameter {name!r}"
        names = named_in(VerdictClassifier)
        raise DataError(msg, hint=hint_for(name, names))
    if isinstance(options, Mapping) and "api_key" in options:
        msg = "an API key is not a parameter of a classifier, which is printed, copied and pickled"
        hint = "put it into the environment, or pass model=load_backend(spec, api_key=...)"
        raise UsageError(msg, hint=hint)
