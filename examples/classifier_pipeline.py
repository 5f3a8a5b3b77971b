"""A question as a classifier of scikit-learn: scored and cross-validated like any other."""

import csv
import sys
from pathlib import Path

from sklearn.model_selection import cross_val_score

from faithful_decide.embedded.samples import write_samples
from faithful_decide.sklearn import VerdictClassifier


def main(folder: Path) -> None:
    """Score the classifier on labelled pictures."""
    table = write_samples(folder, n=30, seed=4)
    with table.open(newline="") as file:
        labelled = list(csv.DictReader(file))
    pictures = [str(folder / row["file_name"]) for row in labelled]
    labels = [row["label"] for row in labelled]

    classifier = VerdictClassifier("Does this image show anything funny?")
    scores = cross_val_score(classifier, pictures, labels, cv=3)
    print("accuracy in three folds:", ", ".join(f"{score:.2f}" for score in scores))

    classifier.fit(pictures, labels)
    for decision in classifier.decide(pictures[:2]):
        print(decision.verdict, "-", decision.reasoning)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "labelled"))
