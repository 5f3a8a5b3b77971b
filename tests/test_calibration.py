"""The table counts, its intervals are Wilson's, and the picture shows the table."""

import math
import random
import xml.etree.ElementTree as ET
from fractions import Fraction
from math import comb

import pytest

from faithful_decide import UsageError, calibration, decide
from faithful_decide.calibration import _cdf, calibration_svg, certify, reliability
from faithful_decide.testing import ScriptedBackend, reply_text

SVG = "{http://www.w3.org/2000/svg}"


def drawn(n, power=1.0, seed=3):
    """Probabilities, and verdicts that are right as often as those say (for a power of 1)."""
    source = random.Random(seed)
    probabilities = [source.random() for _ in range(n)]
    return probabilities, [source.random() < p**power for p in probabilities]


def test_the_table_by_hand():
    """Six verdicts in three bins."""
    table = reliability([0.05, 0.55, 0.55, 0.59, 1.0, 0.95], [False, True, False, True, True, True])
    assert [(one.low, one.high, one.n, one.right) for one in table.bins] == [
        (0.0, 0.1, 1, 0),
        (0.5, 0.6, 3, 2),
        (0.9, 1.0, 2, 2),
    ]
    assert (table.n, table.right) == (6, 4)
    off = 1 * 0.05 + 3 * abs(1.69 / 3 - 2 / 3) + 2 * 0.025
    assert table.ece == pytest.approx(off / 6)
    squares = 0.05**2 + 0.45**2 + 0.55**2 + 0.41**2 + 0 + 0.05**2
    assert table.brier == pytest.approx(squares / 6)


@pytest.mark.parametrize(("hits", "n"), [(0, 1), (1, 1), (45, 50), (3, 7), (0, 1000), (500, 1000)])
def test_intervals_are_wilsons(hits, n):
    """As scipy computes them."""
    stats = pytest.importorskip("scipy.stats")
    (one,) = reliability([0.5] * n, [i < hits for i in range(n)]).bins
    expected = stats.binomtest(hits, n).proportion_ci(method="wilson")
    assert one.interval == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_what_is_calibrated_is_near_zero_and_what_is_too_sure_is_not():
    """On 20,000 verdicts; and scikit-learn draws the same points."""
    fair, sure = reliability(*drawn(20_000)), reliability(*drawn(20_000, power=3))
    assert fair.ece < 0.02
    assert sure.ece > 0.2
    assert all(one.share < one.mean for one in sure.bins[2:8])
    calibration = pytest.importorskip("sklearn.calibration")
    probabilities, correct = drawn(500)
    shares, means = calibration.calibration_curve(correct, probabilities, n_bins=10)
    table = reliability(probabilities, correct)
    assert [one.share for one in table.bins] == pytest.approx(shares.tolist())
    assert [one.mean for one in table.bins] == pytest.approx(means.tolist())


@pytest.mark.parametrize(
    ("probabilities", "correct"),
    [([], []), ([0.5], []), ([0.5], [True, False]), ([1.01], [True]), ([math.nan], [True])],
)
def test_what_cannot_be_counted(probabilities, correct):
    """It is refused by table and picture alike."""
    for function in (reliability, calibration_svg):
        with pytest.raises(UsageError):
            function(probabilities, correct)
    with pytest.raises(UsageError):
        reliability([0.5], [True], bins=0)


def test_the_picture_shows_the_table():
    """A point per bin, where its mean and its share are; the same input gives the same text."""
    probabilities, correct = drawn(300)
    text = calibration_svg(probabilities, correct)
    assert text == calibration_svg(iter(probabilities), iter(correct))
    root = ET.fromstring(text)
    points = [(float(c.get("cx")), float(c.get("cy"))) for c in root.iter(f"{SVG}circle")]
    bins = reliability(probabilities, correct).bins
    assert len(points) == len(bins)
    expected = [(46 + one.mean * 260, 42 + (1 - one.share) * 260) for one in bins]
    for point, place in zip(points, expected, strict=True):
        assert point == pytest.approx(place, abs=0.06)
    width, height = float(root.get("width")), float(root.get("height"))
    for shape in root.iter():
        for name, limit in (("x", width), ("cx", width), ("x2", width), ("cy", height)):
            assert 0 <= float(shape.get(name, 0)) <= limit


def test_the_picture_is_harmless():
    """A title is text, whatever is in it, and nothing is loaded or run."""
    title = "</title><script>alert(1)</script>\"'&"
    root = ET.fromstring(calibration_svg([0.5], [True], title=title))
    assert root.find(f"{SVG}title").text == title
    names = {element.tag.removeprefix(SVG) for element in root.iter()}
    assert names <= {"svg", "title", "desc", "text", "rect", "line", "circle"}
    assert not any(
        name.startswith("on") or "href" in name
        for element in root.iter()
        for name in element.attrib
    )


# ---------------------------------------------------------------------------- certificates


def test_a_certificate_is_the_lowest_threshold_that_holds():
    """Few wrong above it, many below."""
    rows = [(0.99, True)] * 200 + [(0.85, True)] * 95 + [(0.85, False)] * 5 + [(0.6, False)] * 50
    found = certify(rows)
    assert found.threshold == 0.65
    assert (found.n, found.accepted, found.wrong) == (350, 300, 5)
    assert found.wrong / found.accepted < found.bound <= 0.05
    assert found.hands_over(0.6)
    assert found.hands_over(None)
    assert not found.hands_over(0.65)


def test_too_few_labels_are_said():
    """Even if all are right, so many are needed; and everything is for a person."""
    found = certify([(0.99, True)] * 40)
    assert (found.threshold, found.why) == (
        None,
        "there are 40 labelled decisions, and 80 are the least, even if all are right",
    )
    assert found.hands_over(1.0)
    assert certify([(1.0, True)] * 80).threshold is not None
    assert certify([]).threshold is None


def test_where_nothing_is_right_nothing_is_certified():
    assert "at no threshold" in certify([(0.99, i % 3 > 0) for i in range(900)]).why


def test_votes_of_all_reach_one():
    """A share is a sum of floats."""
    assert certify([(1 - 1e-12, True)] * 200).accepted == 200


@pytest.mark.parametrize(
    "wrong", [{"error": 0}, {"error": 1.5}, {"confidence": 1}, {"rows": [(2.0, True)]},
              {"rows": [("yes", "yes")]}, {"error": "0.05"}, {"error": None}, {"error": math.nan},
              {"rows": [(math.nan, True)]}, {"rows": [(0.9, "False")]}, {"rows": [(0.9, 2)]},
              {"rows": [(0.9,)]}, {"rows": [[0.9, True]]}, {"rows": [None]}, {"rows": 5},
              {"rows": {"a": 1}}],
)  # fmt: skip
def test_what_is_no_probability_is_refused(wrong):
    with pytest.raises(UsageError):
        certify(**{"rows": [(0.5, True)], **wrong})


def test_decisions_are_held_against_their_labels(png):
    """What has no label, no probability or no verdict counts for nothing."""
    backend = ScriptedBackend([reply_text(v) for v in ("yes", "yes", "cannot_tell", "yes")])
    sure = decide(png, "Is it?", model=backend, samples=2)
    torn = decide(png, "Is it?", model=backend, samples=2)
    plain = decide(png, "Is it?", model=ScriptedBackend([reply_text("yes")]))
    pairs = [(sure, "yes"), (torn, "no"), (sure, ""), (plain, "yes"), (UsageError("no"), "yes")]
    assert certify(pairs).n == 1 + (torn.verdict != "cannot_tell")


def test_a_label_is_a_verdict_or_none(png):
    """What tables write for nothing is none, beside a probability as well; true is no verdict."""
    sure = decide(png, "Is it?", model=ScriptedBackend([reply_text("yes")] * 2), samples=2)
    nothing = [(said, label) for said in (sure, 0.9) for label in (None, "", math.nan)]
    assert certify(nothing).n == 0
    with pytest.raises(UsageError, match="True is no verdict"):
        certify([(sure, True)])


def test_shares_next_to_nothing_and_to_all_are_shares():
    assert "are the least" in certify([(1.0, True)] * 9, error=5e-324).why
    assert certify([(1.0, True)] * 9, error=1 - 1e-16).accepted == 9
    assert certify([(1.0, True)] * 9, confidence=1 - 1e-16).threshold is None


def test_a_bound_is_computed_once(monkeypatch):
    """It takes as long as there are wrong verdicts; of many labels, minutes for each threshold."""
    bounds = []
    monkeypatch.setattr(calibration, "_most", lambda *given: bounds.append(given) or 0.04)
    assert certify([(n % 100 / 100, n % 41 > 0) for n in range(20_000)]).threshold == 0
    assert len(bounds) == 1


def test_the_test_is_exact():
    """Against a sum of exact fractions."""
    for n, hits in ((1, 0), (40, 2), (500, 13), (40, 40)):
        exact = sum(
            comb(n, k) * Fraction(1, 20) ** k * Fraction(19, 20) ** (n - k) for k in range(hits + 1)
        )
        assert math.isclose(_cdf(n, hits, 0.05), exact, rel_tol=1e-9)
