"""Data on stdout, everything else on stderr, and an exit code that scripts can rely on."""

import os
import subprocess
import sys

import pytest

from faithful_decide import AuthError, Decision
from faithful_decide._cli import main as cli
from faithful_decide._version import __version__
from faithful_decide.testing import ScriptedBackend, registered, reply_text


@pytest.fixture
def model(monkeypatch):
    """Sets the script that `--model scripted/x` replies from; returns what it made."""
    made, script = [], []

    def use(replies):
        script.append(replies)
        monkeypatch.setenv("FAITHFUL_DECIDE_MODEL", "scripted/x")
        return made

    def load(rest):
        made.append(ScriptedBackend(script[-1], name=f"scripted/{rest}"))
        return made[-1]

    with registered("scripted", load):
        yield use


@pytest.fixture
def call(monkeypatch, capsys):
    """Runs the program on arguments; returns its exit code, stdout and stderr."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["faithful-decide", *map(str, arguments)])
        code = cli.run()
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def image(tmp_path, png):
    """A picture as a file."""
    path = tmp_path / "image.png"
    path.write_bytes(png)
    return path


def test_decide_prints_the_reasons_the_verdict_and_the_proof(call, model, image):
    """Everything a person needs to judge the verdict, and nothing on stderr."""
    reply = reply_text(
        "yes", reasoning="a dog in a hat is odd", observations=[("the dog", "a hat")]
    )
    model(lambda _: reply)
    code, out, err = call("decide", image, "Is it funny?")
    assert (code, err) == (0, "note: the model may have reasoned out of sight before this reply\n")
    for part in ("Is it funny?", "the dog: a hat", "a dog in a hat is odd", "yes", "enforced"):
        assert part in out
    assert out.index("a dog in a hat") < out.index("verdict ")
    assert "\x1b" not in out


def test_json_is_the_decision_and_verify_accepts_it(call, model, image, tmp_path):
    """What `decide --json` prints, `verify` checks again."""
    model(lambda _: reply_text("b", reasoning="bel \a, c1 \x9b, rtl \u202e and 🐶"))
    code, out, _ = call("decide", image, "Which?", "--verdicts", "a, b", "--no-abstain", "--json")
    decision = Decision.model_validate_json(out)
    assert (code, decision.verdict, decision.question.labels) == (0, "b", ("a", "b"))
    assert decision.reasoning == "bel \a, c1 \x9b, rtl \u202e and 🐶"
    assert all(c.isprintable() or c == "\n" for c in out)
    stored = tmp_path / "decision.json"
    stored.write_text(out, encoding="utf-8")
    assert call("verify", stored)[:2] == (0, f"ok: b (written last, bytes {span(decision)})\n")
    stored.write_text(out.replace('"verdict": "b"', '"verdict": "a"', 1), encoding="utf-8")
    code, out, err = call("verify", stored)
    assert (code, out) == (1, "")
    assert "does not agree" in err


def span(decision):
    return f"{decision.receipt.verdict_span.start}-{decision.receipt.verdict_span.end}"


def test_samples_and_seed_reach_the_model(call, model, image):
    """The options of the command are those of the function."""
    made = model(lambda _: reply_text("yes"))
    code, out, _ = call("decide", image, "Is it?", "--samples", "3", "--seed", "4")
    assert code == 0
    assert len(made[0].requests) == 3
    assert "yes 1.000, no 0.000, cannot_tell 0.000 (from samples)" in out


def test_control_characters_of_a_model_do_not_reach_the_terminal(call, model, image):
    """Escape sequences are shown, not sent, in results and in errors."""
    evil = "\x1b[2J\x9b31m\u202e and so on"
    model(lambda _: reply_text("yes", reasoning=evil, observations=[(evil, evil)]))
    _, out, _ = call("decide", image, "Is it?")
    model(lambda _: evil)
    _, _, err = call("decide", image, "Is it?")
    for text in (out, err):
        assert "\\u001b[2J" in text
        assert all(c.isprintable() or c == "\n" for c in text)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["decide", "IMAGE", "Is it?"], 1),
        (["decide", "IMAGE", ""], 2),
        (["decide", "IMAGE", "Is it?", "--verdicts", "yes"], 2),
        (["decide", "IMAGE", "Is it?", "--verdicts", "yes,,no"], 2),
        (["decide", "IMAGE", "Is it?", "--samples", "0"], 2),
        (["decide", "IMAGE", "Is it?", "--samples", "x"], 2),
        (["decide", "IMAGE", "Is it?", "--seed", "-1"], 2),
        (["decide", "IMAGE", "Is it?", "--nonsense"], 2),
        (["decide", "IMAGE"], 2),
        (["decide", "missing.png", "Is it?"], 2),
        (["decide", ".", "Is it?"], 2),
        (["decide", __file__, "Is it?"], 2),
        (["decide", "IMAGE", "Is it?", "--model", "nonsense/x"], 3),
        (["verify", "missing.json"], 2),
        (["verify", __file__], 1),
        (["nonsense"], 2),
    ],
)
def test_failures_have_their_exit_codes_and_print_no_data(call, model, image, arguments, code):
    """1 not decided, 2 used wrongly, 3 something to configure; the reason is on stderr."""
    model(lambda _: "no JSON")
    got, out, err = call(*(image if part == "IMAGE" else part for part in arguments))
    assert (got, out) == (code, "")
    assert err


def test_a_refused_key_is_a_matter_of_configuration(call, model, image):
    """So is everything else the user has to set up."""
    model([AuthError("no key", hint="set one")])
    assert call("decide", image, "Is it?") == (3, "", "error: no key\nhint: set one\n")


def program(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "faithful_decide", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | environment,
    )


def test_the_version_is_printed():
    """Alone on stdout."""
    done = program("--version")
    assert (done.returncode, done.stdout) == (0, f"faithful-decide {__version__}\n")


def test_help_and_no_arguments_are_not_errors_of_the_program():
    """Help is data; a missing command is wrong use."""
    assert program("--help").returncode == 0
    assert "decide" in program("--help").stdout
    assert program().returncode == 2


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_tab_completion_can_be_installed(shell):
    """The line of the help text prints a script."""
    if shell == "bash" and not os.access("/bin/bash", os.X_OK):
        pytest.skip("click asks bash for its version")
    code = (
        "import sys; sys.argv = ['faithful-decide'];"
        "from faithful_decide.__main__ import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"_FAITHFUL_DECIDE_COMPLETE": f"{shell}_source"},
    )
    assert done.returncode == 0
    assert "_faithful_decide_completion" in done.stdout


def test_an_image_can_come_from_stdin(png):
    """A dash is standard input: a picture gets as far as the model, nothing does not."""
    command = [sys.executable, "-m", "faithful_decide", "decide", "-", "Is it?", "--model", "none"]
    for data, code in ((png, 3), (b"", 2)):
        done = subprocess.run(command, input=data, capture_output=True, check=False)
        assert done.returncode == code
