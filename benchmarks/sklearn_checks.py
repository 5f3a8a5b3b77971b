"""scikit-learn's own checks of an estimator, run on the classifier with rows drawn as pictures."""

from __future__ import annotations

import sys
import warnings
from collections import Counter
from typing import TYPE_CHECKING

from benchmarks._rows import Options, Row, run
from faithful_decide.sklearn import VerdictClassifier
from tests.support import grey

if TYPE_CHECKING:
    from collections.abc import Iterator

TOKENS, SAMPLES = "token probabilities", "shares of samples"
EXPECTED_TO_FAIL: dict[str, dict[str, str]] = {
    TOKENS: {},
    SAMPLES: {
        "check_classifiers_train": "In a tie of samples predict names the verdict that was reached "
        "first, whose reasons can be shown; the check wants the first column of the tie."
    },
}
"""Checks that cannot hold, by where probabilities come from, each with the reason."""

QUESTION = "How bright is this picture?"


def classifiers(seed: int) -> dict[str, VerdictClassifier]:
    """The classifier with each of its two sources of probabilities.

    Args:
        seed: Of the samples.

    Returns:
        Classifiers by source.
    """
    model = f"{grey.SPEC}/checks"
    return {
        TOKENS: VerdictClassifier(QUESTION, verdicts="labels", model=model),
        SAMPLES: VerdictClassifier(QUESTION, verdicts="labels", model=model, samples=3, seed=seed),
    }


def sklearn_checks(options: Options) -> Iterator[Row]:
    """Run the suite and count; what failed or was skipped is named on stderr."""
    from sklearn.utils.estimator_checks import (  # noqa: PLC0415 - brings all of its tests
        check_estimator,
    )

    grey.register()
    chosen = list(classifiers(options.seed).items())
    for source, classifier in chosen[:1] if options.quick else chosen:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            results = check_estimator(
                classifier,
                expected_failed_checks=EXPECTED_TO_FAIL[source],
                on_fail=None,
                on_skip=None,
            )
        counts = Counter(result["status"] for result in results)
        for result in results:
            if result["status"] != "passed":
                why = result["exception"]
                if result["status"] == "xfail":
                    why = result["expected_to_fail_reason"]
                print(f"{result['status']}: {result['check_name']}: {why}", file=sys.stderr)
        ran = counts["passed"] + counts["failed"] + counts["xfail"]
        yield Row(f"{source}: checks that ran", ran, ">=", 50, len(results))
        yield Row(f"{source}: checks that failed", counts["failed"], "<=", 0, ran)
        yield Row(f"{source}: checks expected to fail", counts["xfail"], "<=", 3, ran)
        yield Row(f"{source}: checks skipped", counts["skipped"], "<=", 1, len(results))


if __name__ == "__main__":
    run(sklearn_checks)
