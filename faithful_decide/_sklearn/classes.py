"""From what a model may say to what a caller calls it: verdicts, labels and classes.

A *verdict* is a word that the model can choose. A *label* is what the caller has in y for it: the
same word, a number, anything. The *classes* are the different labels, sorted; two verdicts may mean
one of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from faithful_decide._asking.options import YES_NO
from faithful_decide._core.types import CANNOT_TELL, Decision
from faithful_decide._sklearn.inputs import DataError
from faithful_decide.errors import UsageError
from faithful_decide.pipelines import probabilities_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from faithful_decide.errors import FaithfulDecideError

__all__ = ["Classes", "classes_of"]

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, eq=False)
class Classes:
    """The verdicts of a classifier, and what they stand for.

    Args:
        verdicts: What may be said, in the order in which it is asked; `cannot_tell`, if it may be
            said, is the last.
        names: The classes, sorted.
        meant: For each verdict the place of its class among `names`.
        abstain: Whether `cannot_tell` may be said.
    """

    verdicts: tuple[str, ...]
    names: Array
    meant: Array
    abstain: bool

    @property
    def apart(self) -> bool:
        """Whether `cannot_tell` may be said and is a class of its own."""
        return self.abstain and self.meant[-1] not in self.meant[:-1]

    @property
    def decided(self) -> Array:
        """The places of the classes that are decided for, all but that of `cannot_tell`."""
        places = np.arange(len(self.names))
        return places[places != self.meant[-1]] if self.apart else places

    def place(self, outcome: Decision | FaithfulDecideError) -> int:
        """The place among `names` of the class that a row reached; an error has abstained."""
        said = outcome.verdict if isinstance(outcome, Decision) else CANNOT_TELL
        return int(self.meant[self.verdicts.index(said)])

    def shares(self, outcomes: Sequence[Decision | FaithfulDecideError]) -> Array:
        """A table of the probabilities of decisions, with a row for each, which sums to 1.

        Errors have abstained for certain. A decision without probabilities is refused.
        """
        table = np.zeros((len(outcomes), len(self.names)))
        for row, outcome in zip(table, outcomes, strict=True):
            if isinstance(outcome, Decision):
                found = probabilities_of(outcome)
                np.add.at(row, self.meant, [found[verdict] for verdict in self.verdicts])
            else:
                row[self.place(outcome)] = 1.0
        normal: Array = table / table.sum(axis=1, keepdims=True)
        return normal


def classes_of(
    given: Sequence[str] | Mapping[str, Any] | str, y: Array | None, *, abstain: bool
) -> Classes:
    """Find out what may be said and what it stands for.

    `given` are verdicts, a mapping from verdicts to labels, or "labels"; `y` the labels that were
    seen, if there are any.
    """
    mapping = _mapping(given, y)
    if abstain:
        mapping.setdefault(CANNOT_TELL, CANNOT_TELL)
        mapping[CANNOT_TELL] = mapping.pop(CANNOT_TELL)  # the last one
    labels = list(mapping.values())
    if len({isinstance(label, str) for label in labels}) > 1:
        msg = "some labels are strings and some are not"
        example = f'verdicts={{"yes": 1, "no": 0, "{CANNOT_TELL}": -1}}'
        raise DataError(msg, hint=f"give {CANNOT_TELL!r} a label of that kind too: {example}")
    names, meant = np.unique(labels, return_inverse=True)
    if len(names) < 2:  # noqa: PLR2004 - nothing to decide
        msg = "all verdicts stand for one class"
        raise DataError(msg, hint="classes are at least two different labels")
    if y is not None and (other := set(np.unique(y)) - set(names)):
        msg = f"no verdict stands for the class {next(iter(other))}"
        raise DataError(msg, hint='say which one does, such as verdicts={"cat": 0, "dog": 1}')
    return Classes(tuple(mapping), names, meant, abstain)


def _mapping(given: Sequence[str] | Mapping[str, Any] | str, y: Array | None) -> dict[Any, Any]:
    if isinstance(given, str):
        return _labels_themselves(given, y)
    if hasattr(given, "keys"):
        return dict(given)
    if tuple(given) == YES_NO and y is not None and y.dtype.kind in "biuf":
        return dict(zip(YES_NO, np.array([1, 0], dtype=y.dtype), strict=True))
    return {verdict: verdict for verdict in given}


def _labels_themselves(given: str, y: Array | None) -> dict[str, Any]:
    if given != "labels":
        msg = f"verdicts must be a sequence of strings, a mapping or 'labels', not {given!r}"
        raise UsageError(msg, hint='write verdicts=("yes", "no")')
    if y is None:
        msg = "the verdicts are to be the labels, and there are none"
        raise DataError(msg, hint="fit(X, y), or name the verdicts")
    classes = np.unique(y)
    if len(classes) == 1:
        msg = f"y has one class only, {classes[0]}"
        raise DataError(msg, hint="name the verdicts, so that all of the classes are known")
    return {_as_verdict(label): label for label in classes}


def _as_verdict(label: Any) -> str:  # noqa: ANN401 - of any array
    """A label as a model would write it: 3 for 3.0."""
    whole = isinstance(label, float) and label.is_integer()
    return str(int(label)) if whole else str(label)
