"""Texts of strangers stay texts, in the parser of Python and in a real browser."""

from html.parser import HTMLParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import chromium
import factory
import pytest
from filled import filled
from hostile import HOSTILE, turns

from faithful_decide._report.html import render
from faithful_decide._report.text import visible

REPORTS = {
    "audit": factory.squirrel(image="not a picture"),
    "dataset": factory.dataset(1, image="not a picture"),
    "batch": factory.batch(image="not a picture"),
    "decision": factory.decision(),
}
HARMLESS = "harmless words"


def batched(items, n):
    return [items[at : at + n] for at in range(0, len(items), n)]


class Tree(HTMLParser):
    """Every tag with the names of its attributes, in order."""

    def __init__(self, page):
        super().__init__()
        self.seen = []
        self.said = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.seen.append(("<", tag, sorted(name for name, _ in attrs)))

    def handle_endtag(self, tag):
        self.seen.append((">", tag, []))

    def handle_comment(self, data):
        self.seen.append(("!", data, []))

    def handle_decl(self, decl):
        self.seen.append(("!", decl, []))

    def handle_pi(self, data):
        self.seen.append(("?", data, []))

    def handle_data(self, data):
        self.said.append(data)


def test_there_are_enough_of_them():
    """All different."""
    assert len(set(HOSTILE)) == len(HOSTILE) >= 500


@pytest.mark.parametrize("kind", REPORTS)
def test_no_text_becomes_markup(kind):
    """In every field they make the page that a harmless text makes; and each of them is on one.

    A real browser, below, is shown each of them in every field.
    """
    report = REPORTS[kind]
    expected = Tree(render(filled(report, HARMLESS))).seen
    missing = set(HOSTILE)
    for texts in turns(5):
        page = Tree(render(filled(report, *texts)))
        assert page.seen == expected, repr(texts[0][:80])
        said = "".join(page.said)
        missing = {text for text in missing if visible(text[:70]) not in said}
    assert not missing


@pytest.mark.parametrize("text", ["a\ud800b", "\udfff" * 3, "a\udc00<b>"])
@pytest.mark.parametrize("kind", REPORTS)
def test_a_lone_surrogate_is_shown_by_its_number(kind, text):
    """No reply can hold one, but a page with one could not be written at all."""
    page = render(filled(REPORTS[kind], text))
    assert f"\\u{ord(text[1]):04x}" in page
    page.encode()


def test_a_receipt_of_hostile_text_is_cut_as_its_spans_say():
    """The marks in a raw reply go around pieces of it, whatever is in it."""
    plain = factory.squirrel(decision=factory.decision(because="harmless words"))
    expected = Tree(render(plain)).seen
    for text in HOSTILE[::7]:
        because = f"harmless words{text}"
        if "\0" in because or any(ord(c) > 0xFFFD for c in because):
            continue
        decision = factory.decision(because=because)
        assert Tree(render(factory.squirrel(decision=decision))).seen == expected


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium.browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.mark.parametrize("kind", REPORTS)
def test_the_parser_of_a_real_browser_finds_no_new_element(kind, browser):
    """In every field, each of them makes the page that a harmless text makes."""
    [expected] = browser.parse([render(filled(REPORTS[kind], HARMLESS))])
    assert len(expected) > 100
    for texts in batched(HOSTILE, 40):
        trees = browser.parse([render(filled(REPORTS[kind], text)) for text in texts])
        assert [text for text, tree in zip(texts, trees, strict=True) if tree != expected] == []


@pytest.mark.parametrize("kind", REPORTS)
def test_a_real_browser_runs_and_fetches_nothing(kind, browser):
    """No dialog, no request, no element more: each page a document that is really loaded."""
    expected = browser.frames([render(filled(REPORTS[kind], HARMLESS))])
    assert expected[1:] == ([], [])
    for batch in batched(list(turns()), 15):
        pages = [render(filled(REPORTS[kind], *texts)) for texts in batch]
        trees, requests, dialogs = browser.frames(pages)
        firsts = [texts[0] for texts in batch]
        assert (requests, dialogs) == ([], []), firsts
        assert trees == expected[0] * len(batch), firsts


@pytest.mark.parametrize("kind", REPORTS)
def test_alone_in_a_real_browser(kind, browser, tmp_path):
    """The same for one that is shown, and the browser has nothing to complain about."""
    page = tmp_path / "report.html"
    page.write_text(render(filled(REPORTS[kind], HARMLESS)), encoding="utf-8")
    assert browser.open(page) == ([], [], [])
    expected = browser.tree()
    for text in HOSTILE[::120]:
        page.write_text(render(filled(REPORTS[kind], text)), encoding="utf-8")
        assert browser.open(page) == ([], [], []), repr(text[:80])
        assert browser.tree() == expected, repr(text[:80])


@pytest.fixture
def server():
    """A server that writes down what it is asked for."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_):
            pass

    asked = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}", asked
        running.shutdown()
        thread.join()


def test_the_security_policy_holds_by_itself(browser, server, tmp_path):
    """Should the escaping ever fail, nothing runs and nothing is asked for."""
    home, asked = server
    attack = (
        f"<script>alert(1)</script><img src={home}/a.png onerror=alert(1)>"
        f"<style>body{{background:url({home}/b.png)}}</style>"
        f"<link rel=stylesheet href={home}/c.css>"
        "<iframe src='javascript:parent.alert(1)'></iframe>"
        f"<iframe src={home}/d></iframe>"
    )
    whole = render(REPORTS["audit"]).replace("</body>", f"{attack}</body>")
    page = tmp_path / "report.html"
    page.write_text(whole, encoding="utf-8")
    _, dialogs, complaints = browser.open(page)
    assert (asked, dialogs) == ([], [])
    assert any("Content Security Policy" in one for one in complaints)
    # The same page without the policy: so the measurement does notice such things.
    page.write_text(whole.replace("Content-Security-Policy", "x"), encoding="utf-8")
    _, dialogs, _ = browser.open(page)
    assert dialogs
    assert asked
