"""The table counts, its intervals are Wilson's, and the picture shows the table."""

import math
import random
import xml.etree.ElementTree as ET

import pytest

from faithful_decide import UsageError
from faithful_decide.calibration import calibration_svg, reliability

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
