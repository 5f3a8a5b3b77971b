"""What a report says, how it is built, and that everybody can read it."""

import base64
import hashlib
import io
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import chromium
import factory
import pytest
from PIL import Image

import faithful_decide
from faithful_decide import Region, UsageError
from faithful_decide._audit.types import Tally
from faithful_decide._core.types import SentImage
from faithful_decide._images.load import load_image
from faithful_decide._report.html import render
from faithful_decide._report.picture import embeddable, thumbnail
from faithful_decide._report.text import clip, visible
from faithful_decide._report.view import pieces, sheets
from faithful_decide._report.words import complaints
from faithful_decide.calibration import calibration_svg

PACKAGE = Path(faithful_decide.__file__).parent
TEMPLATES = PACKAGE / "_report" / "templates"
SAMPLE = PACKAGE / "embedded" / "sample.png"
VOID = {"meta", "link", "img", "br"}


@pytest.fixture(scope="module")
def picture():
    return thumbnail(SAMPLE, side=320, most=40_000)


@pytest.fixture(scope="module")
def pages(picture):
    small = thumbnail(SAMPLE)
    return {
        "audit": render(factory.squirrel(image=picture)),
        "dataset": render(factory.dataset(12, image=small)),
        "batch": render(factory.batch(image=small)),
        "decision": factory.decision().to_html(),
    }


class Page(HTMLParser):
    """Tags with their attributes, whether they are closed, and text."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.open, self.text = [], [], []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
        if tag not in {"b", "bdi", "span", "small", "em"}:
            self.text.append(" ")

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        if not {"style", "title"} & set(self.open):
            self.text.append(data)

    def all(self, *names):
        return [(tag, attrs) for tag, attrs in self.tags if tag in names]


def words(page):
    """The text of a page with its white space folded."""
    return " ".join("".join(Page(page).text).split())


KINDS = ("audit", "dataset", "batch", "decision")


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_is_self_contained(pages, kind):
    """No script, no handler, nothing from elsewhere; the policy allows pictures and one style."""
    page = Page(pages[kind])
    assert not page.all("script", "iframe", "object", "embed", "form", "base")
    for tag, attrs in page.tags:
        assert not any(name.startswith("on") or name == "style" for name in attrs), tag
        for name in ("src", "href", "srcset", "action", "data", "poster", "xlink:href"):
            if name in attrs:
                assert attrs[name].startswith(("#", "data:image/jpeg;base64,")) or (
                    tag == "link" and attrs[name] == "data:,"
                ), (tag, attrs[name][:60])
    style = re.search(r"<style>(.*?)</style>", pages[kind], re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    [policy] = [a["content"] for _, a in page.all("meta") if "http-equiv" in a]
    assert policy == (
        f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none';"
        " form-action 'none'"
    )
    assert "url(" not in style
    assert "@import" not in style


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_can_be_found_through_without_eyes(pages, kind):
    """Landmarks, headings without gaps, tables with heads, links that lead somewhere."""
    page = Page(pages[kind])
    for landmark in ("header", "main", "footer", "h1"):
        assert len(page.all(landmark)) == 1, landmark
    levels = [int(tag[1]) for tag, _ in page.all("h1", "h2", "h3", "h4")]
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    for tag, attrs in page.tags:
        if "aria-labelledby" in attrs:
            assert attrs["aria-labelledby"] in ids
        if attrs.get("href", "").startswith("#"):
            assert attrs["href"][1:] in ids
        if tag == "img":
            assert "alt" in attrs
        if tag == "th":
            assert attrs.get("scope") in {"row", "col"}
        if tag == "svg":
            assert attrs.get("aria-hidden") == "true" or attrs.get("role") == "img"
        if tag == "nav" or attrs.get("tabindex") == "0":
            assert attrs.get("aria-label")
    assert page.all("html")[0][1]["lang"] == "en"


PAIRS, RIGHT = [0.6, 0.7, 0.9, 0.95], [True, False, True, True]


def luminance(colour):
    def linear(value):
        return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4

    digits = colour.removeprefix("#")
    red, green, blue = (linear(int(digits[i : i + 2], 16) / 255) for i in (0, 2, 4))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", [0, 1])
def test_every_colour_can_be_read_on_what_it_stands_on(scheme):
    """WCAG AA, by day and by night."""
    style = (TEMPLATES / "style.css").read_text(encoding="utf-8")
    colours = [
        dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", block))
        for block in re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    ][scheme]
    inks = dict.fromkeys(("ink", "soft", "blue"), ("paper", "sheet"))
    for name in ("bad", "warn", "good", "violet", "blue"):
        inks[name] = (*inks.get(name, ()), f"{name}-wash")
    inks["ink"] += ("warn-wash", "blue-wash", "bad-wash")
    inks["soft"] += ("warn-wash",)
    for name, grounds in inks.items():
        for ground in grounds:
            light, dark = sorted((luminance(colours[name]), luminance(colours[ground])))[::-1]
            assert (light + 0.05) / (dark + 0.05) >= 4.5, (name, ground)


def test_only_our_own_parts_are_marked_as_safe():
    """Everything else is escaped, and no template can switch that off."""
    marked = {
        found
        for path in TEMPLATES.glob("*.j2")
        for found in re.findall(r"\{[{%][^}]*(?:safe|autoescape)[^}]*[}%]\}", path.read_text())
    }
    assert marked == {"{{ style|safe }}", "{{ drawn(asked.calibration)|safe }}"}


def test_an_audit_shows_what_a_reader_wants_to_know(pages, picture):
    """The forced pair, the verdict, what it takes back, every check, and what was not run."""
    said = words(pages["audit"])
    report = factory.squirrel()
    span = report.decision.receipt.reasoning_span
    assert f'<img src="{picture}"' in pages["audit"]
    for expected in (
        report.question.text,
        report.findings[0].sentence,
        "A grammar fixed the order while the model wrote",
        f"reasoning, bytes {span.start} to {span.end}",
        "calm and focused on the cup",
        "playful and curious, in a top hat",
        "takes it back",
        "asked blind, it sees it tips its hat",
        "contested by the witness",
        "Argued for it",
        "Objected",
        "11 of 15 hit",
        "8.96 of 15 hit",
        "what it says of the same things when nothing is decided",
        "95 % interval 0.42 to 0.90",
        "Reach from a true share of 0.33",
        "out of reach",
        "not asked",
        "1 of 4 that contradict each other",
        "Not run: This backend does not give access to its weights.",
        "Approximate. The verdict was forced in the prompt",
        "which is the audited model itself",
        report.thresholds,
        report.notes[0],
    ):
        assert " ".join(expected.split()) in said, expected


def test_the_experiment_comes_first(pages):
    """Before the picture and anything inferred: the sentence, then both explanations."""
    said = words(pages["audit"])
    sentence = 'Told "yes" it argues yes; told "no" it argues no: this explanation accommodates'
    order = (
        sentence,
        "Told “yes”",
        "Told “no”",
        "Verdict of the model",
        "Findings",
        "Checks of the",
    )
    places = [said.index(part) for part in order]
    assert places == sorted(places)
    assert "Told each verdict, it argues for each of them in 41 of 120" in words(pages["dataset"])


def test_the_experiment_is_shown_once(pages):
    """At the top; further down stand its raw replies, and what is compared with it."""
    said = words(pages["audit"])
    assert said.count("a playful squirrel in a hat is funny") == 2
    assert "These explanations stand at the top" in said


def test_explanations_stand_side_by_side():
    """The two ways of forcing apart; of each observation what the model says of it blind."""
    note, own, prefix = sheets(factory.squirrel())
    assert (note.mode, own.mode, prefix.mode) == ("note", "", "prefix")
    assert [[c.kind for c in sheet.columns] for sheet in (note, own, prefix)] == [
        ["forced", "forced"],
        ["free", "blind"],
        ["forced", "forced"],
    ]
    yes, no = note.columns
    assert [(one.text, one.value, one.relied) for one in no.seen] == [
        ("green, as usual", None, False),
        ("calm and focused on the cup", "false", True),
        ("full of coffee", "cannot_tell", False),
    ]
    assert (no.seen[1].sees, no.seen[1].witness) == ("it tips its hat", "contested")
    assert (yes.own, no.own) == (True, False)
    assert [column.outcome for column in prefix.columns] == ["Argued for it", "Objected"]
    assert prefix.columns[1].reservation.startswith("the squirrel wears a hat")


def test_without_forced_verdicts_the_page_says_why():
    """And still shows the decision beside the blind reading."""
    checks = dict(factory.checks())
    checks["forced"] = checks["forced"].model_copy(
        update={
            "not_run": "this tier drew another check",
            "score": None,
            "treatment": Tally(hits=0, n=0),
        }
    )
    report = factory.squirrel(
        forced={}, forced_first={}, told="", conflicts=(), judgements=(), checks=checks
    )
    said = words(render(report))
    assert "No verdict was forced: this tier drew another check" in said
    assert "pale violet" in said


def test_a_receipt_is_cut_at_its_spans():
    """In bytes, so that letters outside ASCII do not shift them."""
    decision = factory.decision(because="größer als üblich, seltsam", saw=(("Bär", "größer"),))
    cut = pieces(decision.receipt)
    assert "".join(piece.text for piece in cut) == decision.receipt.raw
    assert [piece.text for piece in cut if piece.part] == ['"größer als üblich, seltsam"', '"yes"']


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\u202eb", r"a\u202eb"),
        ("a\0b\x1b", r"a\u0000b\u001b"),
        ("a\u200bb\u00adc\ufeff", r"a\u200bb\u00adc\ufeff"),
        ("a\ud800b", r"a\ud800b"),
        ("a\U000e0041b", r"a\udb40\udc41b"),
        ("\U0001f468\u200d\U0001f469", "\U0001f468\u200d\U0001f469"),
        ("one\r\ntwo\tthree\rfour", "one\ntwo\tthree\\rfour"),
        ("größer, 中文, العربية", "größer, 中文, العربية"),
    ],
)
def test_what_cannot_be_seen_is_shown(text, expected):
    """By its number; what people write stays as it is."""
    assert visible(text) == expected


def test_a_long_text_is_cut_and_says_so():
    """Only where there are many."""
    assert clip("x" * 1200, 200) == "x" * 200 + "… (1,000 more characters)"
    assert clip("short", 200) == "short"


def test_places_are_framed_on_the_picture(picture):
    """In its own pixels; what the reasoning relies on by another line than the rest."""
    decision = factory.decision()
    at = Region(bottom=75, left=25, right=50, top=50)
    placed = tuple(o.model_copy(update={"at": at}) for o in decision.observations)
    report = factory.squirrel(
        image=picture, decision=decision.model_copy(update={"observations": placed})
    )
    page = render(report)
    width, height = load_image(picture).width, load_image(picture).height
    frame = f'x="{width * 0.25}" y="{height * 0.5}" width="{width * 0.25}" height="{height * 0.25}"'
    assert page.count(frame) == len(placed) == 3
    assert page.count('<g class="relied">') == len(decision.evidence) == 1
    assert "<title>2: the squirrel</title>" in page
    assert "<rect" not in render(factory.squirrel(image=picture)).split("</figure>")[0]


@pytest.mark.parametrize(
    ("limits", "frame"),
    [
        (None, 'x="80.0" y="30.0" width="40.0" height="30.0"'),
        ({"square": 128, "min_side": None}, 'x="80.0" y="10.0" width="40.0" height="60.0"'),
        ({"square": None, "min_side": 28}, 'x="80.0" y="30.0" width="40.0" height="30.0"'),
        ({"square": None, "min_side": 101}, None),
    ],
)
def test_frames_are_where_they_belong_if_the_picture_was_padded(limits, frame):
    """Percents are of what was sent; the page shows the picture without the ground around it."""
    file = io.BytesIO()
    Image.new("RGB", (200, 100), "green").save(file, "PNG")
    decision = factory.decision()
    at = Region(bottom=60, left=40, right=60, top=30)
    sent = SentImage(source_sha256="0" * 64, sent_sha256="1" * 64, limits=limits)
    receipt = decision.receipt.model_copy(update={"images": (sent,)})
    placed = (decision.observations[0].model_copy(update={"at": at}),)
    changed = decision.model_copy(update={"observations": placed, "receipt": receipt})
    page = render(factory.squirrel(image=uri("png", file.getvalue()), decision=changed))
    figure = page.split("</figure>")[0]
    drawn = re.findall(r'x="[0-9.]+" y="[-0-9.]+" width="[0-9.]+" height="[0-9.]+"', figure)
    assert drawn == [frame] * (frame is not None)


def uri(kind, data):
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


@pytest.mark.parametrize(
    "offered",
    [
        "",
        "javascript:alert(1)",
        "https://example.org/x.png",
        "data:text/html;base64,PGI+",
        uri("svg+xml", b"<svg/>"),
        uri("png", b"<svg onload=alert(1)>"),
        uri("jpeg", b"\x89PNG\r\n\x1a\n" + b"x" * 80),
        uri("png", b"\x89PNG\r\n\x1a\n") + '" onerror="alert(1)',
        uri("png", b"\x89PNG\r\n\x1a\n") + "\n",
        uri("png", b"\x89PNG\r\n\x1a\n").upper(),
        "data:image/png,x",
        "data:image/png;charset=utf-8;base64,AAAA",
        "data:image/png;base64,AAAAA",
    ],
)
def test_only_pictures_get_into_the_page(offered):
    """Whatever else is offered as one is left out, and the page says that there is none."""
    assert embeddable(offered, side=100, most=10_000) == ""
    page = render(factory.squirrel(image=offered))
    assert not Page(page).all("img")
    assert "The picture is not part of this report." in words(page)


def test_a_large_picture_is_made_smaller():
    """And one that only begins like a picture is left out."""
    large = uri("png", SAMPLE.read_bytes())
    small = embeddable(large, side=112, most=4_000)
    assert small.startswith("data:image/jpeg;base64,")
    assert len(small) <= 4_000
    assert embeddable(large, side=112, most=40_000) == large
    broken = uri("png", SAMPLE.read_bytes()[:5000])
    assert embeddable(broken, side=112, most=4_000) == ""


def test_five_hundred_samples_fit_into_five_megabytes(picture):
    """With thumbnails, long names and long errors."""
    samples = factory.dataset(500, image=uri("png", SAMPLE.read_bytes())).items
    samples = tuple(
        one.model_copy(update={"item": one.item * 20, "error": one.error * 100}) for one in samples
    )
    trials = factory.checks()["forced"].trials * 500
    checks = {
        name: check.model_copy(update={"trials": trials if not check.not_run else ()})
        for name, check in factory.checks().items()
    }
    page = render(factory.dataset(items=samples, checks=checks))
    assert page.count("<img ") == sum(one.report is not None for one in samples) > 400
    assert len(page.encode()) <= 5_000_000


def test_samples_with_hits_come_first(pages):
    """Then those that failed, then the others in their order."""
    shown = re.findall(r'role="rowheader"><bdi lang="">photos/(\d+)', pages["dataset"])
    assert [int(one) for one in shown] == [1, 3, 5, 7, 9, 11, 6, 0, 2, 4, 8, 10]


def test_a_batch_shows_what_became_of_it(pages):
    """Counts, abstentions, errors by type, calibration, certain and uncertain ones, cost."""
    said = words(pages["batch"])
    for expected in ("1 000 images", "921 decided", "52 cannot tell", "27 failed", "$1.84 cost"):
        assert expected in said
    assert "TruncatedError 19" in said
    assert "not asked about: 2 hidden files, 1 .txt files." in said
    assert "92 % right: 851 of 921 verdicts with a label; 95 % interval 91 % to 94 %" in said
    assert said.index("Wrong") < said.index("Least certain") < said.index("Most certain")
    assert "70 in all" in said
    assert 'role="img"' in pages["batch"]
    assert pages["batch"].count("<img ") == 15


def test_the_cost_of_a_batch_is_none_unknown_or_a_list_price():
    """A model in this process has no price, and nobody bills it."""
    for changes, short, long in (
        ({}, "$1.84 cost", "$1.8400 by list prices"),
        ({"cost_usd": None}, "unknown cost", "unknown: no list price was found for this model"),
        ({"cost_usd": None, "billed": False}, "no cost", "none: the model runs in this process"),
    ):
        said = words(render(factory.batch(**changes)))
        assert short in said
        assert long in said


def test_nothing_of_a_drawing_lies_over_anything_else_of_it():
    """The title, what stands below it, and the frame have room of their own."""
    drawing = calibration_svg(PAIRS, RIGHT)
    title, below = (float(y) for y in re.findall(r'<text x="46" y="([\d.]+)"', drawing)[:2])
    top = float(re.search(r'<rect x="46" y="([\d.]+)"', drawing)[1])
    assert title + 10 <= below <= top - 8


def test_what_keeps_an_audit_from_being_clean():
    """Raised flags; without any, that it is inconclusive; what is allowed hides no silence."""
    flagged = factory.dataset()
    first = factory.FINDINGS[0]
    assert complaints(flagged) == {first.name: first.sentence}
    (name,) = complaints(flagged, allow=(first.name,))
    assert name == "inconclusive"
    assert complaints(flagged, allow=(first.name, "inconclusive")) == {}
    quiet = factory.FINDINGS[1:2]
    settled = factory.dataset(findings=(first, *quiet))
    assert complaints(settled, allow=(first.name,)) == {}
    open_ = {"flags": (), "findings": quiet, "label": "inconclusive", "label_because": "few"}
    assert complaints(factory.dataset(**open_)) == {"inconclusive": "few"}
    assert complaints(factory.dataset(**open_), allow=("inconclusive",)) == {}
    assert complaints(factory.dataset(flags=(), findings=quiet, label="no_violation_found")) == {}


def test_a_file_is_there_whole_or_not_at_all(tmp_path, monkeypatch):
    """A failure leaves the old one; nothing else is left lying about."""
    path = tmp_path / "audit.html"
    factory.squirrel().to_html(str(path))
    before = path.read_bytes()
    assert before.startswith(b"<!DOCTYPE html>")

    def full(self, *_, **__):
        msg = "No space left on device"
        raise OSError(28, msg)

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(UsageError, match="No space left on device") as caught:
        factory.dataset().to_html(path)
    assert caught.value.hint
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_not_there_is_a_mistake(tmp_path):
    """With a hint, not a traceback from the depths."""
    with pytest.raises(UsageError, match="No such file or directory"):
        factory.squirrel().to_html(tmp_path / "nowhere" / "audit.html")


def test_many_flags_and_labels_have_names_for_people():
    """And one that is not known has its own, in words."""
    names = ("sycophantic:undisclosed", "brand_new")
    findings = tuple(
        factory.FINDINGS[0].model_copy(update={"flag": name, "name": name}) for name in names
    )
    said = words(render(factory.squirrel(findings=findings, flags=names)))
    assert "Sycophantic, and does not say so" in said
    assert "Brand new" in said


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("width", "scheme"), [(1280, "light"), (1280, "dark"), (390, "light"), (320, "dark")]
)
def test_a_page_fits_its_reader(*, pages, kind, width, scheme, browser, tmp_path):
    """Nothing has to be pushed sideways on a phone, and the night has a dark page."""
    path = tmp_path / "report.html"
    path.write_text(pages[kind], encoding="utf-8")
    browser.media(width=width, scheme=scheme)
    assert browser.open(path) == ([], [], [])
    ask = browser.driver.execute_script
    assert ask("return document.documentElement.scrollWidth") <= width
    ask("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert ask("return document.documentElement.scrollWidth") <= width
    ground = ask("return getComputedStyle(document.body).backgroundColor")
    red = int(re.search(r"\d+", ground)[0])
    assert (red < 60) == (scheme == "dark")


def test_a_page_can_be_printed(pages, browser, tmp_path):
    """In a light page's colours, whatever the screen has."""
    path = tmp_path / "report.html"
    path.write_text(pages["audit"], encoding="utf-8")
    browser.media(width=1280, scheme="dark", media="print")
    browser.open(path)
    ask = browser.driver.execute_script
    assert ask("return getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert browser.pdf().startswith(b"%PDF")


def test_a_page_can_be_used_with_the_keyboard(pages, browser, tmp_path):
    """The first stop skips to the findings; what is folded opens with a key."""
    from selenium.webdriver.common.keys import Keys

    path = tmp_path / "report.html"
    path.write_text(pages["audit"], encoding="utf-8")
    browser.media(width=1280)
    browser.open(path)
    ask = browser.driver.execute_script
    page = browser.driver.switch_to.active_element
    page.send_keys(Keys.TAB)
    first = browser.driver.switch_to.active_element
    assert first.text == "Skip to the findings"
    first.send_keys(Keys.ENTER)
    assert ask("return document.activeElement.id") == "main"
    assert ask("return [...document.querySelectorAll('details')].every(d => !d.open)")
    ask("document.querySelector('summary').focus()")
    browser.driver.switch_to.active_element.send_keys(Keys.ENTER)
    assert ask("return document.querySelector('details').open")


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium.browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened
