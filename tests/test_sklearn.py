"""The classifier does what scikit-learn expects, and never makes a label of an error."""

import asyncio
import io
import pickle

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("sklearn")

from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from benchmarks.sklearn_checks import EXPECTED_TO_FAIL, SAMPLES, TOKENS, classifiers
from faithful_decide import (
    AuthError,
    BackendError,
    Decision,
    FaithfulDecideError,
    ImageError,
    Observation,
    QuestionError,
    TransientError,
    UnsupportedError,
    UsageError,
)
from faithful_decide.backends import Reply
from faithful_decide.calibration import certify
from faithful_decide.sklearn import DataError, VerdictClassifier
from faithful_decide.testing import ScriptedBackend, reply_text
from tests.support import grey as grey_model
from tests.support.grey import GreyBackend

QUESTION = "Is it bright?"
DARK_BRIGHT = {"verdicts": ("dark", "bright")}


def grey(level, size=(8, 8)):
    """A picture of one brightness."""
    return Image.new("L", size, level)


def encoded(level):
    file = io.BytesIO()
    grey(level).save(file, "PNG")
    return file.getvalue()


LEVELS = (10, 240, 60, 200, 20, 250)
TRUE = np.array(["dark", "bright"] * 3)


@pytest.fixture
def made():
    """The model spec `grey/...`, and the backends that were loaded by it."""
    yield grey_model.register()
    grey_model.forget()


@pytest.fixture
def paths(tmp_path):
    """Files of six brightnesses."""
    for level in LEVELS:
        (tmp_path / f"{level}.png").write_bytes(encoded(level))
    return [tmp_path / f"{level}.png" for level in LEVELS]


@pytest.fixture
def _checks_can_load(made):
    pass


@pytest.mark.usefixtures("_checks_can_load")
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@parametrize_with_checks(
    [classifiers(0)[TOKENS]], expected_failed_checks=lambda _: EXPECTED_TO_FAIL[TOKENS]
)
def test_the_checks_of_scikit_learn(estimator, check):
    """Its own suite, on rows of numbers."""
    check(estimator)


def test_every_expected_failure_has_its_reason():
    """And there are at most three."""
    for reasons in EXPECTED_TO_FAIL.values():
        assert len(reasons) <= 3
        assert all(len(reason) > 40 for reason in reasons.values())
    assert set(EXPECTED_TO_FAIL) == {TOKENS, SAMPLES}


# ---------------------------------------------------------------- what X may be


def as_series(paths):
    return pytest.importorskip("pandas").Series(paths)


def as_frame(paths):
    return pytest.importorskip("pandas").DataFrame({"image": paths})


FORMS = {
    "paths": lambda paths: paths,
    "strings": lambda paths: tuple(map(str, paths)),
    "bytes": lambda paths: [path.read_bytes() for path in paths],
    "open files": lambda paths: [io.BytesIO(path.read_bytes()) for path in paths],
    "pictures": lambda paths: [Image.open(path) for path in paths],
    "arrays of a list": lambda paths: [np.full((8, 8), level, np.uint8) for level in LEVELS],
    "N,H,W": lambda paths: np.array([np.full((8, 8), level) for level in LEVELS], np.uint8),
    "N,H,W,C": lambda paths: np.array([np.full((8, 8, 3), level) for level in LEVELS], np.uint8),
    "array of strings": lambda paths: np.array(list(map(str, paths))),
    "array of objects": lambda paths: np.array(paths, dtype=object),
    "column of objects": lambda paths: np.array(paths, dtype=object).reshape(-1, 1),
    "series": as_series,
    "frame": as_frame,
}


@pytest.mark.parametrize("form", FORMS)
def test_images_in_every_form(form, paths):
    """All of them are the same six pictures."""
    classifier = VerdictClassifier(QUESTION, **DARK_BRIGHT, model=GreyBackend()).fit()
    assert classifier.predict(FORMS[form](paths)).tolist() == TRUE.tolist()


def test_rows_of_numbers_are_pictures():
    """The digits of scikit-learn: 64 numbers are 8 by 8 cells, enlarged, dark where low."""
    digits = load_digits()
    backend = ScriptedBackend(lambda _: reply_text("3"))
    classifier = VerdictClassifier("Which digit is it?", verdicts="labels", model=backend)
    classifier.fit(digits.data, digits.target)
    assert classifier.predict(digits.data[:1]).tolist() == [3]
    assert classifier.predict(digits.data[:1]).dtype == digits.target.dtype
    seen = np.asarray(Image.open(io.BytesIO(backend.requests[0].images[0].data)).convert("L"))
    assert seen.shape == (64, 64)
    cells = seen[4::8, 4::8] / 255 * 16
    assert np.abs(cells - digits.images[0]).max() < 0.1


def test_the_range_of_greys_is_that_of_fit():
    """One row looks the same alone, among others, and outside the range."""
    classifier = VerdictClassifier(QUESTION, **DARK_BRIGHT, model=GreyBackend())
    with pytest.raises(DataError, match="fit has seen none"):
        classifier.fit().predict([[1.0]])
    classifier.fit(np.linspace(0, 100, 40).reshape(10, 4))
    assert classifier.predict([[40.0] * 4, [60.0] * 4, [900.0] * 4]).tolist() == [
        "dark",
        "bright",
        "bright",
    ]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ("squirrel.png", "one image"),
        (b"bytes", "one image"),
        (grey(3), "one image"),
        (np.zeros((2, 3, 3, 3)), "8-bit"),
        ([], "no image"),
        (np.array([["a.png", "b.png"]]), "not compatible"),
    ],
)
def test_what_is_not_a_sequence_of_images(data, says):
    """It is refused, and no model is asked."""
    backend = ScriptedBackend([])
    with pytest.raises(ValueError, match=says):
        VerdictClassifier(QUESTION, model=backend).fit(data)
    assert backend.requests == []


def test_a_column_has_to_be_picked(paths):
    """A table with images and something else does not say which is meant."""
    frame = as_frame(paths)
    with pytest.raises(DataError) as caught:
        VerdictClassifier(QUESTION, model=GreyBackend()).fit(frame.assign(size=3))
    assert "X[['image']]" in caught.value.hint


# ---------------------------------------------------------------- labels and classes


def test_without_labels_the_classes_are_the_verdicts():
    """Sorted, as classes are."""
    assert VerdictClassifier(QUESTION, model=GreyBackend()).fit().classes_.tolist() == ["no", "yes"]
    three = VerdictClassifier(QUESTION, verdicts=("c", "a", "b"), model=GreyBackend()).fit()
    assert three.classes_.tolist() == ["a", "b", "c"]
    assert three.question_.verdicts == ("c", "a", "b")


@pytest.mark.parametrize(
    ("y", "verdicts"),
    [
        (["fox", "bear", "fox"], ("bear", "fox")),
        ([0, 1, 2], ("0", "1", "2")),
        ([0.0, 1.0, 1.0], ("0", "1")),
        ([True, False, True], ("False", "True")),
    ],
)
def test_the_labels_can_be_what_is_asked(y, verdicts, paths):
    """If the caller says so, because tools may replace labels by numbers on the way."""
    classifier = VerdictClassifier(QUESTION, verdicts="labels", model=GreyBackend())
    classifier.fit(paths[:3], y)
    assert classifier.question_.verdicts == verdicts
    assert classifier.classes_.tolist() == sorted(set(y))
    assert set(classifier.predict(paths).tolist()) <= set(y)


@pytest.mark.parametrize("y", [["no", "yes"] * 3, [0, 1] * 3, [False, True] * 3, [0.0, 1.0] * 3])
def test_yes_and_no_are_one_and_zero(y, paths):
    """The question stays one with yes and no, and the labels stay of their kind."""
    backend = ScriptedBackend(lambda _: reply_text("yes"))
    classifier = VerdictClassifier(QUESTION, model=backend).fit(paths, y)
    assert classifier.question_.verdicts == ("yes", "no")
    assert classifier.predict(paths).tolist() == [y[1]] * 6
    assert type(classifier.predict(paths).tolist()[0]) is type(y[1])
    assert classifier.score(paths, y) == 0.5


def test_verdicts_can_stand_for_labels(paths):
    """Ones and zeros are read, and two verdicts may mean one label."""
    verdicts = {"night": 0, "dusk": 0, "day": 1}
    classifier = VerdictClassifier(QUESTION, verdicts=verdicts, model=GreyBackend())
    classifier.fit(paths, [0, 1, 0, 1, 0, 1])
    assert classifier.predict(paths).tolist() == [0, 1, 0, 1, 0, 1]
    shares = classifier.predict_proba(paths)
    assert shares.shape == (6, 2)
    assert np.allclose(shares.sum(axis=1), 1)
    decision = classifier.decide(paths[:1])[0]
    by_name = decision.scores.probabilities
    assert shares[0, 0] == pytest.approx(by_name["night"] + by_name["dusk"])
    assert classifier.score(paths, [0, 1, 0, 1, 0, 0]) == pytest.approx(5 / 6)


@pytest.mark.parametrize(
    ("parameters", "y", "says"),
    [
        ({"verdicts": "labels"}, [1, 1, 1], "one class"),
        ({"verdicts": "labels"}, None, "there are none"),
        ({"verdicts": "labels", "abstain": True}, [1, 2, 3], "cannot_tell"),
        ({}, [1, 2, 1], "class 2"),
        ({"verdicts": ("a", "b")}, ["a", "b", "c"], "class c"),
        ({"verdicts": {"yes": 1, "no": 1}}, None, "one class"),
        ({"verdicts": {"yes": 1, "no": 0}, "abstain": True}, None, "cannot_tell"),
        ({}, ["a", "b"], "inconsistent"),
        ({}, [0.5, 0.1, 0.2], "continuous"),
    ],
)
def test_labels_that_do_not_fit(parameters, y, says, paths):
    """They are a ValueError, as everywhere in scikit-learn."""
    classifier = VerdictClassifier(QUESTION, model=ScriptedBackend([]), **parameters)
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the message is looked at below
        classifier.fit(paths[:3], y)
    assert says in f"{caught.value} {getattr(caught.value, 'hint', '')}"


@pytest.mark.parametrize(
    "parameters",
    [
        {"error_policy": "ignore"},
        {"verdicts": "yes,no"},
        {"error_policy": "abstain"},
        {
            "error_policy": "abstain",
            "abstain": True,
            "verdicts": {"yes": 1, "no": 0, "cannot_tell": 0},
        },
        {"concurrency": 0},
        {"samples": 0},
        {"question": " "},
        {"verdicts": ("yes", "yes")},
        {"options": {"n_threads": 1}},
    ],
)
def test_parameters_are_checked_by_fit(parameters):
    """Not before, as scikit-learn has it, and not later."""
    classifier = VerdictClassifier(QUESTION, model=ScriptedBackend([])).set_params(**parameters)
    with pytest.raises(UsageError):
        classifier.fit()


def test_nothing_works_before_fit(paths):
    """As in every estimator."""
    classifier = VerdictClassifier(QUESTION, model=GreyBackend())
    for method in (classifier.predict, classifier.predict_proba, classifier.decide):
        with pytest.raises(NotFittedError):
            method(paths)
    with pytest.raises(AttributeError):
        _ = classifier.decisions_


# ---------------------------------------------------------------- abstaining and errors


def test_cannot_tell_is_a_class_only_if_it_is_allowed(paths):
    """Without it the model is not offered it; with it it is predicted like the others."""
    backend = ScriptedBackend(lambda _: reply_text("yes"))
    VerdictClassifier(QUESTION, model=backend).fit().predict(paths[:1])
    assert "cannot_tell" not in backend.requests[0].text
    classifier = VerdictClassifier(QUESTION, model=GreyBackend(), abstain=True).fit()
    assert classifier.classes_.tolist() == ["cannot_tell", "no", "yes"]
    assert classifier.predict([grey(250)]).tolist() == ["cannot_tell"]
    numbers = {"yes": 1, "no": 0, "cannot_tell": -1}
    classifier.set_params(verdicts=numbers).fit()
    assert classifier.predict([grey(250), grey(3)]).tolist() == [-1, 1]


BROKEN = [
    (Reply("I would rather not.", "refusal"), "RefusedError"),
    (Reply(reply_text("yes")[:30], "length"), "TruncatedError"),
    (reply_text("maybe"), "ContractError"),
    ('{"verdict":"yes","observations":[],"reasoning":"because"}', None),
]


@pytest.mark.parametrize(("line", "kind"), BROKEN)
def test_an_error_is_raised_or_abstains_but_is_never_a_label(line, kind, paths):
    """Whatever is wrong with a reply."""
    script = [reply_text("yes"), line, reply_text("no")]
    strict = VerdictClassifier(QUESTION, model=ScriptedBackend(script)).fit()
    with pytest.raises(FaithfulDecideError) as caught:
        strict.predict(paths[:3])
    assert kind in {None, type(caught.value).__name__}
    lenient = VerdictClassifier(
        QUESTION, model=ScriptedBackend(script), abstain=True, error_policy="abstain"
    ).fit()
    assert lenient.predict(paths[:3]).tolist() == ["yes", "cannot_tell", "no"]
    assert type(lenient.decisions_[1]) is type(caught.value)
    assert [isinstance(one, Decision) for one in lenient.decisions_] == [True, False, True]


def test_bad_images_and_timeouts_abstain_but_a_refused_key_does_not(paths):
    """What is wrong with one row is its own; what is wrong with all of them is raised."""
    settings = {"abstain": True, "error_policy": "abstain"}
    grey_one = VerdictClassifier(QUESTION, model=GreyBackend(), **settings).fit()
    assert grey_one.predict(["missing.png", None, paths[0], b""]).tolist() == [
        "cannot_tell",
        "cannot_tell",
        "yes",
        "cannot_tell",
    ]
    assert [type(one) for one in grey_one.decisions_].count(ImageError) == 3
    shares = grey_one.predict_proba(["missing.png", paths[0]])
    assert shares[0].tolist() == [1.0, 0.0, 0.0]
    assert np.allclose(shares.sum(axis=1), 1)
    slow = ScriptedBackend(lambda _: TransientError("busy"))
    hung = VerdictClassifier(QUESTION, model=slow, timeout=0.05, **settings).fit()
    assert hung.predict(paths[:1]).tolist() == ["cannot_tell"]
    # One image that a server will not take is one row, as in a batch.
    odd = ScriptedBackend([BackendError("400: too large"), reply_text("no"), reply_text("no")])
    picky = VerdictClassifier(QUESTION, model=odd, **settings).fit()
    assert picky.predict(paths[:3]).tolist() == ["cannot_tell", "no", "no"]
    closed = ScriptedBackend(lambda _: AuthError("the key was refused"))
    with pytest.raises(AuthError):
        VerdictClassifier(QUESTION, model=closed, **settings).fit().predict(paths)
    assert len(closed.requests) == 1


def test_no_probabilities_is_an_error_that_says_what_to_do(paths):
    """A backend without token probabilities is asked for samples instead."""
    backend = ScriptedBackend(lambda _: reply_text("yes"))
    with pytest.raises(UnsupportedError) as caught:
        VerdictClassifier(QUESTION, model=backend).fit().predict_proba(paths)
    assert "samples" in caught.value.hint
    sampled = VerdictClassifier(QUESTION, model=backend, samples=4).fit()
    assert sampled.predict_proba(paths[:1]).tolist() == [[0.0, 1.0]]


# ---------------------------------------------------------------- what is asked, and how often


def test_an_image_is_paid_for_once(paths):
    """predict, predict_proba, score and decide share what was decided, until the next fit."""
    backend = GreyBackend()
    classifier = VerdictClassifier(QUESTION, **DARK_BRIGHT, model=backend).fit(paths, TRUE)
    assert backend.calls == 0
    classifier.predict(paths)
    classifier.predict_proba([path.read_bytes() for path in paths])
    assert classifier.score(paths, TRUE) == 1.0
    assert backend.calls == 6
    classifier.fit(paths, TRUE).predict(paths)
    assert backend.calls == 12


def test_a_journal_pays_once_for_all_clones_and_for_tomorrow(paths, tmp_path):
    """What one of them asked, none of them asks again; samples can be found again too."""
    backend = GreyBackend()
    classifier = VerdictClassifier(
        QUESTION, **DARK_BRIGHT, model=backend, samples=3, journal=tmp_path / "replies.journal"
    )
    expected = clone(classifier).fit().predict(paths).tolist()
    assert backend.calls == 18
    assert classifier.fit().predict(paths).tolist() == expected
    assert cross_val_score(classifier, paths, expected, cv=2, error_score="raise").all()
    assert backend.calls == 18


def test_decisions_are_kept_with_their_reasons(paths):
    """Those of the last call, and outside of what scikit-learn copies and prints."""
    classifier = VerdictClassifier(QUESTION, **DARK_BRIGHT, model=GreyBackend()).fit()
    before = dict(vars(classifier))
    classifier.predict(paths)
    assert [one.verdict for one in classifier.decisions_] == TRUE.tolist()
    assert classifier.decisions_[0].reasoning == "its brightness is 0.039"
    assert vars(classifier) == before


class Patient(GreyBackend):
    """Can be awaited, and replies to nobody before three wait for it."""

    def __init__(self):
        super().__init__("patient")
        self.open = self.most = 0
        self.enough = asyncio.Event()

    async def agenerate(self, request):
        self.open += 1
        self.most = max(self.most, self.open)
        if self.open == 3:
            self.enough.set()
        await asyncio.wait_for(self.enough.wait(), 60)
        self.open -= 1
        return self.generate(request)


def test_a_server_is_asked_side_by_side(paths):
    """As many at once as allowed, and the order of the rows is kept."""
    backend = Patient()
    classifier = VerdictClassifier(QUESTION, **DARK_BRIGHT, model=backend, concurrency=3).fit()
    assert classifier.predict(paths).tolist() == TRUE.tolist()
    assert backend.most == 3


# ---------------------------------------------------------------- pickles and clones


def test_pickles_hold_no_model_no_key_and_no_decision(made, paths):
    """And load the model again when they are used."""
    classifier = VerdictClassifier(
        QUESTION, **DARK_BRIGHT, model="grey/x", options={"sharpness": 2.0}
    ).fit()
    classifier.predict(paths)
    data = pickle.dumps(classifier)
    assert b"its brightness" not in data
    assert b"GreyBackend" not in data
    again = pickle.loads(data)
    assert len(made) == 1
    assert again.predict(paths).tolist() == TRUE.tolist()
    assert made[1].sharpness == 2.0


def test_a_loaded_model_cannot_be_pickled():
    """Rather than lose it, or the address and the key in it, on the way."""
    classifier = VerdictClassifier(QUESTION, model=GreyBackend()).fit()
    with pytest.raises(UnsupportedError, match="pickled"):
        pickle.dumps(classifier)


def test_a_key_is_never_a_parameter():
    """Neither when it is made nor later, so it can be in no repr, clone, grid or pickle."""
    canary = "sk-canary-0123456789"
    with pytest.raises(UsageError) as caught:
        VerdictClassifier(QUESTION, options={"api_key": canary})
    assert canary not in f"{caught.value} {caught.value.hint}"
    classifier = VerdictClassifier(QUESTION)
    with pytest.raises(UsageError):
        classifier.set_params(options={"api_key": canary})
    assert canary not in repr(classifier)


def test_clones_share_a_live_model_and_loaded_ones(made, paths):
    """A live one by reference; one that a spec names is loaded once for original and clones."""
    backend = GreyBackend()
    assert clone(VerdictClassifier(QUESTION, model=backend)).model is backend
    original = VerdictClassifier(QUESTION, model="grey/x")
    for _ in range(3):
        clone(original).fit().predict(paths[:1])
    assert len(made) == 1
    assert not made[0].closed
    del original
    assert made[0].closed


# ---------------------------------------------------------------- the machinery around it


def test_a_grid_over_questions_and_models(made, paths):
    """The question that fits the labels wins, and each model is loaded once."""
    grid = GridSearchCV(
        VerdictClassifier(QUESTION, verdicts=("dark", "bright")),
        {"question": ["Is it bright?", "Is it light?"], "model": ["grey/a", "grey/b"]},
        cv=3,
        error_score="raise",
    ).fit(paths, TRUE)
    assert grid.best_score_ == 1.0
    assert grid.predict(paths).tolist() == TRUE.tolist()
    assert len(made) == 2


def test_cross_validation(made, paths):
    """Scores and probabilities; for the latter labels are encoded on the way."""
    classifier = VerdictClassifier(QUESTION, verdicts=("dark", "bright"), model="grey/x")
    assert cross_val_score(classifier, paths, TRUE, cv=3).tolist() == [1.0] * 3
    assert cross_val_score(classifier, paths, TRUE, cv=3, scoring="roc_auc").tolist() == [1.0] * 3
    asked = {"cv": 3, "method": "predict_proba"}
    with pytest.raises(DataError, match="class 0"):
        cross_val_predict(classifier, paths, TRUE, **asked)
    classifier.set_params(verdicts={"dark": 0, "bright": 1})
    shares = cross_val_predict(classifier, paths, (TRUE == "bright").astype(int), **asked)
    assert np.allclose(shares.sum(axis=1), 1)
    assert (shares[:, 1] > 0.5).tolist() == (TRUE == "bright").tolist()


def test_a_pipeline_that_picks_the_column(paths):
    """A table goes in whole, a transformer picks what the classifier sees."""
    frame = as_frame(paths).assign(size=3)
    picked = ColumnTransformer([("image", "passthrough", ["image"])])
    classifier = VerdictClassifier(QUESTION, **DARK_BRIGHT, model=GreyBackend())
    pipeline = make_pipeline(picked, classifier).fit(frame, TRUE)
    assert pipeline.score(frame, TRUE) == 1.0


@pytest.fixture
def noisy():
    """Pictures of random brightness, labels that follow it loosely, and a model too sure of it."""
    random = np.random.default_rng(4)
    levels = random.integers(0, 256, 80)
    y = np.where(random.random(80) < levels / 255, "bright", "dark")
    images = [grey(int(level)) for level in levels]
    return images, y, GreyBackend(sharpness=25.0)


def brier(classifier, images, y):
    positive = classifier.classes_.tolist().index("bright")
    return float(np.mean((classifier.predict_proba(images)[:, positive] - (y == "bright")) ** 2))


@pytest.mark.parametrize("method", ["sigmoid", "isotonic"])
def test_probabilities_are_calibrated_on_labels(method, noisy):
    """They get better, they sum to 1, and the verdicts stay what the reasons lead to."""
    images, y, backend = noisy
    plain = VerdictClassifier(QUESTION, **DARK_BRIGHT, model=backend).fit()
    fitted = clone(plain).set_params(calibrate=method).fit(images[:50], y[:50])
    assert backend.calls == len({one.tobytes() for one in images[:50]})
    assert brier(fitted, images[50:], y[50:]) < brier(plain, images[50:], y[50:]) - 0.02
    assert np.allclose(fitted.predict_proba(images).sum(axis=1), 1)
    assert fitted.predict(images).tolist() == plain.predict(images).tolist()


def test_calibration_leaves_cannot_tell_alone(noisy):
    """Labels say nothing about it; the others share what it leaves."""
    images, y, backend = noisy
    plain = VerdictClassifier(
        QUESTION, **DARK_BRIGHT, model=backend, abstain=True, error_policy="abstain"
    ).fit()
    assert plain.classes_.tolist() == ["bright", "cannot_tell", "dark"]
    fitted = clone(plain).set_params(calibrate="sigmoid").fit([*images, b"broken"], [*y, "dark"])
    before, after = plain.predict_proba([*images, b""]), fitted.predict_proba([*images, b""])
    assert np.allclose(after.sum(axis=1), 1)
    assert np.allclose(before[:, 1], after[:, 1])
    assert not np.allclose(before[:, 0], after[:, 0])
    assert after[-1].tolist() == [0.0, 1.0, 0.0]


def test_cannot_tell_may_count_as_another_class(noisy):
    """If the caller says so; then it takes part in calibration like any verdict."""
    images, y, backend = noisy
    verdicts = {"dark": 0, "bright": 1, "cannot_tell": 0}
    classifier = VerdictClassifier(QUESTION, verdicts=verdicts, model=backend, abstain=True)
    classifier.set_params(calibrate="sigmoid").fit(images, (y == "bright").astype(int))
    assert classifier.classes_.tolist() == [0, 1]
    assert np.allclose(classifier.predict_proba(images).sum(axis=1), 1)
    assert set(classifier.predict(images)) == {0, 1}


@pytest.mark.parametrize("y", [None, ["dark"] * 6])
def test_calibration_needs_labels_of_every_class(y, paths):
    """Otherwise it says so."""
    classifier = VerdictClassifier(
        QUESTION, **DARK_BRIGHT, model=GreyBackend(), calibrate="sigmoid"
    )
    with pytest.raises(DataError):
        classifier.fit(paths, y)


@pytest.mark.parametrize("frozen", [True, False])
def test_the_calibrated_classifier_of_scikit_learn(frozen, noisy):
    """It takes this one as it takes any."""
    images, y, backend = noisy
    classifier = VerdictClassifier(QUESTION, **DARK_BRIGHT, model=backend)
    inner = FrozenEstimator(classifier.fit()) if frozen else classifier
    calibrated = CalibratedClassifierCV(inner, cv=3).fit(images[:50], y[:50])
    assert (
        brier(calibrated, images[50:], y[50:]) < brier(classifier.fit(), images[50:], y[50:]) - 0.01
    )


def test_a_question_is_a_text():
    """A Question would bring verdicts that no grid could change."""
    from faithful_decide import Question

    with pytest.raises(QuestionError):
        VerdictClassifier(Question("Is it?"), model=GreyBackend()).fit()


# ---------------------------------------------------------------- what callers hold in their hands


def holes(paths):
    """Rows without an image, in every way that tables write it."""
    pd = pytest.importorskip("pandas")
    return [None, float("nan"), np.nan, pd.NA, pd.NaT, *paths]


def test_a_row_without_an_image_is_the_error_of_that_row(paths):
    """Wherever it stands, the first row included."""
    backend = ScriptedBackend(lambda _: reply_text("dark"))
    classifier = VerdictClassifier(
        QUESTION, **DARK_BRIGHT, model=backend, abstain=True, error_policy="abstain"
    ).fit(holes(paths))
    assert list(classifier.predict(holes(paths))) == ["cannot_tell"] * 5 + ["dark"] * 6
    assert all(isinstance(error, ImageError) for error in classifier.decisions_[:5])
    assert list(classifier.predict([None, None])) == ["cannot_tell"] * 2
    with pytest.raises(ImageError):
        classifier.set_params(error_policy="raise").fit().predict([None, paths[0]])


def test_images_come_from_generators_and_from_arrow(paths):
    """And from tables of Arrow, whose column is looked up by its name."""
    pa = pytest.importorskip("pyarrow")
    classifier = VerdictClassifier(QUESTION, **DARK_BRIGHT, model=GreyBackend()).fit()
    strings = list(map(str, paths))
    for data in (
        (path for path in paths),
        pa.array(strings),
        pa.chunked_array([strings[:3], strings[3:]]),
        pa.table({"path": strings}),
        [{"bytes": path.read_bytes(), "path": None} for path in paths],
    ):
        assert list(classifier.predict(data)) == list(TRUE)
    with pytest.raises(DataError, match="images in the column"):
        classifier.predict(pa.table({"path": strings, "size": list(range(6))}))
    for empty in ([], (), iter(()), pa.array([], pa.string())):
        with pytest.raises(DataError, match="no image"):
            classifier.predict(empty)


@pytest.mark.parametrize("missing", [None, float("nan")])
def test_labels_have_to_be_there(missing, paths):
    """A missing one is refused, and named by its row."""
    y = np.array([*TRUE[:5], missing], dtype=object)
    with pytest.raises(DataError, match="row 5"):
        VerdictClassifier(QUESTION, **DARK_BRIGHT, model=GreyBackend()).fit(paths, y)


def test_what_was_seen_in_fit_is_written_down(paths):
    """As other estimators do."""
    classifier = VerdictClassifier(QUESTION, **DARK_BRIGHT, model=GreyBackend())
    assert classifier.fit(paths).n_features_in_ == 1
    assert list(classifier.fit(as_frame(paths)).feature_names_in_) == ["image"]


def test_the_error_of_one_row_is_that_row(paths):
    """Whatever the backend says of it; the others are asked all the same."""
    from faithful_decide import BackendError

    asked = iter(range(99))

    def reply(_):
        if next(asked) == 1:
            msg = "this image is too much"
            raise BackendError(msg)
        return reply_text("dark")

    backend = ScriptedBackend(reply)
    classifier = VerdictClassifier(
        QUESTION, **DARK_BRIGHT, model=backend, abstain=True, error_policy="abstain"
    ).fit()
    assert list(classifier.predict(paths)) == ["dark", "cannot_tell", *["dark"] * 4]
    assert isinstance(classifier.decisions_[1], BackendError)


def test_an_unknown_parameter_names_the_one_that_was_meant():
    """As everywhere; and it is the error that scikit-learn raises."""
    classifier = VerdictClassifier(QUESTION)
    for wrong, meant in (("labels", "verdicts="), ("n_jobs", "concurrency="), ("sede", "seed=")):
        with pytest.raises(ValueError, match=wrong) as caught:
            classifier.set_params(**{wrong: 3})
        assert meant in caught.value.hint
    assert classifier.set_params(seed=3).seed == 3


def test_every_option_of_the_table_is_a_parameter():
    """With its default, but that a classifier does not abstain unless it is asked to."""
    from faithful_decide._asking.options import table

    given = VerdictClassifier(QUESTION).get_params()
    for row in table():
        assert given[row.name] == (False if row.name == "abstain" else row.default)


def test_weights_weigh_the_labels_of_the_calibration(noisy):
    """And nothing else; those that are none are refused."""
    images, y, backend = noisy
    parameters = {**DARK_BRIGHT, "model": backend, "calibrate": "sigmoid"}
    even = VerdictClassifier(QUESTION, **parameters).fit(images, y)
    weights = np.where(y == "dark", 50.0, 1.0)
    tilted = VerdictClassifier(QUESTION, **parameters).fit(images, y, sample_weight=weights)
    dark = list(even.classes_).index("dark")
    assert (tilted.predict_proba(images)[:, dark] > even.predict_proba(images)[:, dark]).all()
    for wrong in ([1.0], np.zeros(len(y)), np.full(len(y), np.nan), -np.ones(len(y))):
        with pytest.raises(DataError, match="sample_weight"):
            VerdictClassifier(QUESTION, **parameters).fit(images, y, sample_weight=wrong)


def test_progress_is_shown_to_those_who_ask(paths, capsys):
    """On stderr, while it works."""
    VerdictClassifier(QUESTION, **DARK_BRIGHT, model=GreyBackend(), verbose=True).fit().predict(
        paths
    )
    assert "6/6" in capsys.readouterr().err


# ------------------------------------------------------------------ several images, and people


def test_a_row_may_have_several_images(png):
    """They are asked about together, and known again together."""
    seen = [Observation(about="a", image=2, seen="b")]
    backend = ScriptedBackend(lambda _: reply_text("yes", observations=seen, images=2))
    classifier = VerdictClassifier("Is it?", model=backend).fit()
    other = png + b" "
    assert list(classifier.predict([[png, other], (other, png), [png, other]])) == ["yes"] * 3
    assert [len(request.images) for request in backend.requests][:2] == [2, 2]
    assert len(backend.requests) <= 3


def test_a_row_that_lacks_one_of_its_images_costs_itself(png):
    """Wherever it stands; and several may be arrays."""
    array = np.zeros((20, 20, 3), np.uint8)
    backend = ScriptedBackend(lambda r: reply_text("yes", images=len(r.images)))
    classifier = VerdictClassifier(
        "Is it?", model=backend, error_policy="abstain", abstain=np.True_
    ).fit()
    for spoilt in ([png, None], []):
        assert list(classifier.predict([spoilt, [png]])) == ["cannot_tell", "yes"]
    assert list(classifier.predict([[array, array + 1]])) == ["yes"]
    assert len(backend.requests[-1].images) == 2


def test_definitions_that_are_none_are_refused():
    with pytest.raises(QuestionError, match="are a mapping"):
        VerdictClassifier("Is it?", definitions=["a crack"], model=ScriptedBackend([])).fit()


def test_definitions_and_context_are_asked(png):
    """As a question has them."""
    backend = ScriptedBackend(lambda _: reply_text("yes"))
    meanings = {"yes": "any crack"}
    classifier = VerdictClassifier("Is it?", definitions=meanings, context="Look.", model=backend)
    classifier.fit().predict([png])
    assert '\n"yes": any crack\nContext: Look.' in backend.requests[0].text
    assert clone(classifier).get_params()["definitions"] == meanings


def test_what_is_not_sure_enough_is_for_a_person(png):
    """By a number, or by the certificate that labels have given; pickles keep it."""
    script = [reply_text(v) for v in ("yes", "yes", "yes", "no")]
    rows = [png, png + b" "]
    sure = certify([(0.95, True)] * 200 + [(0.55, False)] * 100)
    for review, expected in (
        (0.9, [False, True]),
        (0.4, [False, False]),
        (sure, [False, True]),
        (certify([]), [True, True]),
        (None, [False, False]),
    ):
        backend = ScriptedBackend(script)
        classifier = VerdictClassifier(
            "Is it?", model=backend, samples=2, review=review, concurrency=1
        )
        assert list(classifier.fit().for_review(rows)) == expected
    with pytest.raises(UsageError, match="review"):
        VerdictClassifier("Is it?", model=ScriptedBackend(script), review=2).fit().for_review(rows)
    named = VerdictClassifier("Is it?", model="embedded", review=sure)
    assert pickle.loads(pickle.dumps(named)).review == sure
