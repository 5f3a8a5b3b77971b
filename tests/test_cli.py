"""Data on stdout, everything else on stderr, and an exit code that scripts can rely on."""

import inspect
import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal

import click
import pytest

import faithful_decide
from faithful_decide import AuthError, Decision, Observation, Region, TransientError
from faithful_decide._asking import retrying
from faithful_decide._asking.options import table
from faithful_decide._cli import main as cli
from faithful_decide._version import __version__
from faithful_decide.testing import ScriptedBackend, registered, reply_text
from tests.support.cases import case

OPTIONS = ("speed", "temperature", "ratio", "label", "api", "extra", "api_key")


@pytest.fixture
def model(monkeypatch):
    """Sets the script that `--model scripted/x` replies from; returns what it made."""
    made, script = [], []

    def use(replies):
        script.append(replies)
        monkeypatch.setenv("FAITHFUL_DECIDE_MODEL", "scripted/x")
        return made

    def load(
        rest: str,
        *,
        speed: int = 1,
        temperature: bool = True,
        ratio: float | None = None,
        label: str | None = None,
        api: Literal["chat", "responses"] | None = None,
        extra: dict[str, Any] | None = None,
        api_key: str | None = None,
    ):
        given = {name: value for name, value in locals().items() if name in OPTIONS}
        made.append(ScriptedBackend(script[-1], name=f"scripted/{rest}"))
        made[-1].given = given
        return made[-1]

    with registered("scripted", load):
        yield use


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
    assert (code, err) == (0, "note: the model may have used hidden thinking before this reply\n")
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
    code, said, _ = call("verify", stored)
    first, *others = said.splitlines()
    assert (code, first) == (0, f"ok: b (written last, bytes {span(decision)})")
    assert {line.partition(":")[0] for line in others} == {"checked", "not checked"}
    stored.write_text(out.replace('"verdict": "b"', '"verdict": "a"', 1), encoding="utf-8")
    code, out, err = call("verify", stored)
    assert (code, out) == (1, "")
    assert "does not agree" in err


def test_verify_takes_what_it_can_be_held_against(call, model, image, tmp_path, monkeypatch):
    """The image, the question, and a key that is named and not written down."""
    model(lambda _: reply_text("yes"))
    stored = tmp_path / "decision.json"
    stored.write_text(call("decide", image, "Is it?", "--json")[1], encoding="utf-8")
    assert call("verify", stored, "--image", image, "-q", "Is it?")[0] == 0
    assert call("verify", stored, "-q", "Is it not?")[0] == 1
    assert call("verify", stored, "--image", __file__)[0] in {1, 2}
    monkeypatch.setenv("KEY", "of nobody")
    assert call("verify", stored, "--hmac-key", "env:KEY")[0] == 1
    code, _, err = call("verify", stored, "--hmac-key", "canary")
    assert code == 2
    assert "canary" not in err


@pytest.mark.parametrize("key", [bytes(range(120, 152)), b"\n\xff\n", b"a text\n"])
def test_a_key_of_bytes_opens_what_was_signed_with_it(call, png, tmp_path, key):
    """A key is made of random bytes, as the hint says; only a text loses its line break."""
    from faithful_decide import decide

    decision = decide(png, "Is it?", model=ScriptedBackend([reply_text("no")]))
    signed = decision.signed(key.strip() if key.startswith(b"a") else key)
    (tmp_path / "stored").write_text(signed.model_dump_json(), encoding="utf-8")
    (tmp_path / "key").write_bytes(key)
    code, out, _ = call("verify", tmp_path / "stored", "--hmac-key", f"file:{tmp_path / 'key'}")
    assert code == 0
    assert "signed with this key" in out


def test_verify_tells_what_the_model_wrote_from_what_a_rule_drew(call, png, tmp_path):
    """The bytes that are named hold the first."""
    from pydantic import BaseModel

    from faithful_decide import Question, decide

    class Hat(BaseModel):
        hat: bool

    question = Question("Is it?", findings=Hat, rule=lambda seen: seen.hat)
    reply = json.dumps({"findings": {"hat": True}} | json.loads(reply_text("no")))
    decision = decide(png, question, model=ScriptedBackend([reply]))
    (tmp_path / "stored").write_text(decision.model_dump_json(), encoding="utf-8")
    out = call("verify", tmp_path / "stored")[1].splitlines()
    assert out[0].startswith("ok: no (written last")
    told = "not checked: the verdict: the model wrote 'no'; a rule that was not given drew 'yes'"
    assert told in out


def span(decision):
    return f"{decision.receipt.verdict_span.start}-{decision.receipt.verdict_span.end}"


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
        (["decide", "IMAGE", "Is it?", "--verdicts", "a,b", "--verdict", "a"], 2),
        (["decide", "IMAGE", "Is it?", "-o", "speed"], 2),
        (["decide", "IMAGE", "Is it?", "-o", "speed=fast"], 2),
        (["decide", "IMAGE", "Is it?", "-o", "speed=1", "-o", "speed=2"], 2),
        (["decide", "IMAGE", "Is it?", "-o", "nonsense=1"], 3),
        (["audit", "IMAGE", "Is it?", "--reader-option", "speed=1"], 2),
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


DOORS = {
    "decide": ["decide"],
    "batch": ["decide_many"],
    "compare": ["decide"],
    "audit": ["audit"],
    "audit-dataset": ["audit_dataset"],
    "probe": ["probe"],
    "verify": ["verify_stored"],
}
BY_OTHER_NAMES = {
    "ordered": "as_completed",
    "reader_options": "reader_option",
    "judge_options": "judge_option",
    "witness_options": "witness_option",
}
ONLY_IN_PYTHON = {"progress", "rule"}
"""On the command line there is progress whenever there is a terminal; a rule is a function."""


@pytest.mark.parametrize("command", DOORS)
def test_the_command_line_takes_what_the_library_takes(command):
    """Every keyword of the function is an option of the command, with the same default."""
    parameters = {p.name: p for p in cli.main.commands[command].params}
    flags = {flag for p in parameters.values() for flag in (*p.opts, *p.secondary_opts)}
    for name in DOORS[command]:
        for wanted in inspect.signature(getattr(faithful_decide, name)).parameters.values():
            if wanted.kind is wanted.VAR_KEYWORD:
                assert "-o" in flags
            elif wanted.kind is wanted.KEYWORD_ONLY and wanted.name not in ONLY_IN_PYTHON:
                called = BY_OTHER_NAMES.get(wanted.name, wanted.name).replace("_", "-")
                assert f"--{called}" in flags, wanted.name
            if wanted.name in parameters and wanted.name not in {"verdicts", "journal"}:
                option = parameters[wanted.name]
                if wanted.kind is wanted.KEYWORD_ONLY and wanted.default is not None:
                    assert option.default == wanted.default


def test_every_option_says_what_it_does_in_a_sentence():
    """And shows its default, if it has one that is a value."""
    for command in cli.main.commands.values():
        for option in command.params:
            if isinstance(option, click.Option):
                assert option.help[0].isupper(), option
                assert option.help.endswith((".", "...")), option
                if isinstance(option.default, str | int | float) and not option.is_flag:
                    assert option.show_default, option


VALUES = {
    "samples": ("3", 3),
    "seed": ("4", 4),
    "max_tokens": ("9", 9),
    "retries": ("2", 2),
    "timeout": ("7.5", 7.5),
    "journal": ("replies.journal", "replies.journal"),
    "abstain": (None, False),
    "allow_urls": (None, True),
    "verdicts": ("a, b", ("a", "b")),
    "context": ("Scratches do not count.", "Scratches do not count."),
    "regions": (None, True),
}


@pytest.mark.parametrize("name", [row.name for row in table()])
def test_every_option_of_the_table_reaches_the_library(name, call, model, image, monkeypatch):
    """As the value that a caller in Python would pass."""
    from faithful_decide._api import decide as door

    seen = []
    monkeypatch.setattr(door, "decide", lambda *a, **k: seen.append(k) or 1 / 0)
    text, value = VALUES[name]
    flag = f"--{'no-' if name == 'abstain' else ''}{name.replace('_', '-')}"
    with pytest.raises(ZeroDivisionError):
        call("decide", image, "Is it?", flag, *([] if text is None else [text]))
    assert seen[0][name] == value
    assert {k: v for k, v in seen[0].items() if k in VALUES and k != name} == {
        row.name: row.default for row in table() if row.name not in {name, "verdicts"}
    }


def test_verdicts_are_defined_one_by_one(call, model, image, tmp_path):
    """What stands behind the first equals sign; all of them, or none."""
    model(lambda _: reply_text("ok"))
    (tmp_path / "policy.md").write_text("Scratches do\nnot count.\n")
    given = ("--verdict", "damaged=any crack = bad", "--verdict", "ok=none")
    _, out, _ = call(
        "decide", image, "Is it?", *given, "--context", str(tmp_path / "policy.md"), "--json"
    )
    question = json.loads(out)["question"]
    assert question["definitions"] == {"damaged": "any crack = bad", "ok": "none"}
    assert question["context"] == "Scratches do\nnot count.\n"
    (tmp_path / "empty.txt").write_text(" \n")
    for wrong, said in (
        (("--verdict", "a=b", "--verdict", "c"), "define it too: --verdict TEXT=MEANING\n"),
        (("--verdict", "a=b", "--verdict", "a=c"), "'a' is given twice"),
        (("--verdict", "a=b", "--verdict", "A=c"), "cannot be told apart"),
        (("--verdict", "a=", "--verdict", "b=c"), "is empty"),
        (("--context", ""), "the context is empty"),
        (("--context", str(tmp_path / "empty.txt")), "the context is empty"),
        (("--context", "nowhere.txt"), "cannot be read"),
    ):
        code, _, err = call("decide", image, "Is it?", *wrong)
        assert code == 2
        assert said in err


def test_several_images_and_places(call, model, image):
    """The question comes last; what is relied on is marked."""
    at = Region(bottom=30, left=10, right=20, top=5)
    seen = [
        Observation(about="a", at=at, image=2, seen="b"),
        Observation(about="c", at=at, seen="d"),
    ]
    backend = model(lambda _: reply_text("yes", observations=seen, images=2))
    code, out, _ = call("decide", image, image, "Is it the same?", "--regions")
    assert code == 0
    assert len(backend[0].requests[0].images) == 2
    assert "1* a in image 2: b (left 10-20 %, top 5-30 %)" in out
    assert "2 c in image 1: d" in out


def test_a_verdict_may_hold_a_comma(call, model, image):
    """If it is given by itself."""
    model(lambda _: reply_text("no, not at all"))
    given = ("--verdict", "yes", "--verdict", "no, not at all", "--json")
    _, out, _ = call("decide", image, "Is it?", *given)
    assert json.loads(out)["question"]["verdicts"] == ["yes", "no, not at all"]


def test_options_of_a_backend_are_read_as_what_they_are(call, model, image, tmp_path, monkeypatch):
    """JSON where that is what is taken, and text otherwise."""
    made = model(lambda _: reply_text("yes"))
    (tmp_path / "key").write_text("sk-from-a-file\n")
    monkeypatch.setenv("SECRET", "sk-from-env")
    for text, value in {
        "speed=3": 3,
        "temperature=false": False,
        "temperature=True": True,
        "ratio=2": 2,
        "ratio=null": None,
        "label=7": "7",
        "label=a=b": "a=b",
        "api=chat": "chat",
        'extra={"top_k": [1, 2]}': {"top_k": [1, 2]},
        "api-key=env:SECRET": "sk-from-env",
        f"api_key=file:{tmp_path / 'key'}": "sk-from-a-file",
    }.items():
        code, _, err = call("decide", image, "Is it?", "-o", text)
        assert code == 0, err
        name = text.partition("=")[0].replace("-", "_")
        assert made[-1].given[name] == value
        assert type(made[-1].given[name]) is type(value)


@pytest.mark.parametrize("key", ["sk-canary", "env:", "env:NOBODY_SET_THIS", "file:/nowhere/key"])
def test_a_key_is_not_an_argument(key, call, model, image):
    """Everybody who can list processes reads arguments; it is named, and not repeated."""
    made = model([])
    code, out, err = call("decide", image, "Is it?", "-o", f"api_key={key}")
    assert (code, out, made) == (2, "", [])
    assert "sk-canary" not in err
    assert "hint: " in err


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (["decide", "IMAGE", "Is it?", "--lables", "a,b"], "--verdicts"),
        (["decide", "IMAGE", "Is it?", "--labels", "a,b"], "--verdicts"),
        (["decide", "IMAGE", "Is it?", "--max-token", "3"], "--max-tokens"),
        (["decide", "IMAGE", "Is it?", "--api-base", "http://x"], "--base-url"),
        (["decide", "IMAGE", "Is it?", "-o", "temprature=false"], "-o temperature="),
        (["decide", "IMAGE", "Is it?", "-o", "labels=a"], "--verdicts"),
        (["batch", "IMAGE", "-q", "Is it?", "--at-once", "3"], "--concurrency"),
        (["decid", "IMAGE"], "decide"),
    ],
)
def test_the_option_that_was_meant_is_named(arguments, meant, call, model, image):
    """As this door writes it."""
    model([])
    code, _, err = call(*(image if part == "IMAGE" else part for part in arguments))
    assert code in {2, 3}
    assert meant in err


def test_hints_speak_of_flags_here(call, model, image, monkeypatch):
    """What Python writes as a keyword is an option of the command, or `-o` for the backend."""
    # Longer than anybody waits here, so that the first failure is the last on any machine.
    monkeypatch.setattr(retrying, "_BACKOFF", lambda _: 600.0)
    for hint, shown in {
        "raise timeout=, or ask again": "raise --timeout, or ask again",
        "pass max_tokens=512 or more": "pass --max-tokens 512 or more",
        "pass allow_urls=True.": "pass --allow-urls.",
        "pass abstain=False": "pass --no-abstain",
        'pass model="embedded"': "pass --model embedded",
        'write verdicts=("yes", "no")': "write --verdicts yes,no",
        "pass any_model=True": "pass -o any_model=true",
        'pass base_url="https://..."': "pass --base-url https://...",
        "set KEY, or pass api_key=": "set KEY, or pass -o api_key=env:VARIABLE",
        "see https://host?a=b": "see https://host?a=b",
    }.items():
        model([TransientError("it failed", hint=hint)])
        assert call("decide", image, "Is it?")[2].splitlines()[-1] == f"hint: {shown}"
        model([AuthError("it failed", hint=hint)])
        assert call("decide", image, "Is it?")[2] == f"error: it failed\nhint: {shown}\n"


def test_what_the_library_logs_is_shown(call, model, image):
    """Above all what it waits for; and only while the program runs."""

    def reply(_):
        logging.getLogger("faithful_decide").info("waiting %s s\x1b[2J", 3)
        return reply_text("yes")

    model(reply)
    before = list(logging.getLogger("faithful_decide").handlers)
    assert "note: waiting 3 s\\u001b[2J" in call("decide", image, "Is it?")[2]
    assert logging.getLogger("faithful_decide").handlers == before


def test_errors_of_click_cannot_move_the_cursor(call):
    """A name in them is a stranger's text as well."""
    for arguments in (["verify", "no\x1b[2J\u202ename"], ["\x1b[2J"], ["decide", "--\x9bx"]):
        _, _, err = call(*arguments)
        assert "error: " in err
        assert all(c.isprintable() or c == "\n" for c in err)


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-8"])
def test_no_encoding_of_the_terminal_ends_the_program(encoding, tmp_path, png):
    """What it cannot hold is escaped, and JSON still says the same."""
    image = tmp_path / "image.png"
    image.write_bytes(png)
    text = "图片里有狗吗 é 🐶"
    code = f"""
        import sys
        from faithful_decide.backends import register_backend
        from faithful_decide.testing import ScriptedBackend, reply_text
        made = ScriptedBackend(lambda _: reply_text("yes", reasoning={text!r}))
        register_backend("scripted", lambda rest: made)
        sys.argv = ["faithful-decide", *sys.argv[1:]]
        from faithful_decide.__main__ import main
        main()
    """
    lines = "\n".join(line.strip() for line in code.splitlines())
    for command in (["decide", image, "Is it?", "--json"], ["decide", image, text]):
        done = subprocess.run(
            [sys.executable, "-c", lines, *command, "--model", "scripted/x"],
            capture_output=True,
            check=False,
            env=os.environ | {"PYTHONIOENCODING": encoding},
        )
        assert done.returncode == 0, done.stderr
        if "--json" in command:
            # Where a terminal says that it knows ASCII alone, click takes it to be mistaken.
            written = done.stdout.decode("utf-8" if encoding == "ascii" else encoding)
            assert json.loads(written)["reasoning"] == text


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full device")
@pytest.mark.parametrize("sink", ["> /dev/full", ">&-"])
@pytest.mark.parametrize("command", ["verify decision.json", "-h"])
def test_an_output_that_cannot_be_written_is_an_error(sink, command, tmp_path, png):
    """Told in a line, without a traceback."""
    from faithful_decide import decide

    backend = ScriptedBackend([reply_text("yes")])
    stored = decide(png, "Is it?", model=backend).model_dump_json()
    (tmp_path / "decision.json").write_text(stored)
    done = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m faithful_decide {command} {sink}"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
        env=os.environ | {"PYTHONPATH": str(Path.cwd())},
    )
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr
    if command != "-h":
        assert done.returncode == 1
        assert done.stderr.startswith("error: ")


def test_a_closed_input_takes_no_file_with_it(tmp_path):
    """Without a standard input, the next file that is opened must not become it."""
    command = f"{sys.executable} -m faithful_decide verify - <&-"
    done = subprocess.run(
        ["sh", "-c", command],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
        env=os.environ | {"PYTHONPATH": str(Path.cwd())},
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr


def test_thresholds_that_cannot_be_read_are_said_in_a_line(call, tmp_path, png):
    """The file of limits is the caller's, as every file is."""
    (tmp_path / "image.png").write_bytes(png)
    limits = tmp_path / "limits.json"
    limits.write_bytes(b"\xff\xfe")
    code, _, told = call("audit", tmp_path / "image.png", "Is it?", "--thresholds", limits)
    assert code != 0
    assert "thresholds cannot be read" in told


@pytest.mark.parametrize(
    "content", [b"", b"\x89PNG", b"{}", b"[1]", b'{"verdict": "yes"}', b"\xff"]
)
def test_what_is_no_stored_decision_is_said_in_a_line(content, call, tmp_path):
    """Without the words of a library that reads it."""
    (tmp_path / "stored").write_bytes(content)
    code, out, err = call("verify", tmp_path / "stored")
    assert (code, out) == (1, "")
    assert err.startswith("error: this is not a stored decision: ")
    assert "pydantic" not in err
    assert len(err.splitlines()) == 2


def test_samples_tells_where_they_are_and_what_next(call, tmp_path, monkeypatch):
    """The table on stdout; the command that decides about them on stderr, with a quoted name."""
    folder = tmp_path / "my pictures"
    code, out, err = call("samples", folder, "--n", 2)
    assert (code, out) == (0, f"{folder / 'metadata.csv'}\n")
    assert f"batch '{folder}' -q" in err
    (folder / "mine.txt").write_text("")
    code, out, err = call("samples", folder)
    assert (code, out) == (2, "")
    assert "pass --force" in err
    assert call("samples", folder, "--n", 1, "--force")[0] == 0
    assert call("samples", folder, "--n", 0)[0] == 2


@pytest.mark.parametrize("words", [("decide",), ("decide", "Is it?"), ("audit", "Is it?")])
def test_a_file_is_no_question(words, call, image):
    """Whoever forgets the question, or writes it first, is told where it goes."""
    code, out, err = call(*words, image)
    assert (code, out) == (2, "")
    assert "write the question last" in err


def flags_of(command):
    """The long flags of a command."""
    return [
        flag
        for parameter in command.params
        for flag in (*parameter.opts, *parameter.secondary_opts)
        if flag.startswith("--") and len(flag) > 4
    ]


@pytest.mark.parametrize("name", sorted(cli.main.commands))
def test_a_mistyped_option_of_any_command_is_named(call, name):
    """With two letters exchanged, or with one hyphen where two belong."""
    for flag in flags_of(cli.main.commands[name]):
        wrong = f"{flag[:-2]}{flag[-1]}{flag[-2]}"
        for text in {wrong, flag[1:]} - {flag}:
            with case(name, text):
                code, _, err = call(name, text, "x")
                assert code == 2
                assert f"there is no option {text}" in err
                assert flag in err.partition("hint: did you mean ")[2]


def test_what_is_no_option_is_told_where_it_goes(call):
    """An argument, an option of the model, or a number that cannot be."""
    for arguments, hint in (
        (("decide", "x.png", "--question", "Is it?"), "QUESTION is written without a flag"),
        (("decide", "x.png", "--qestion", "Is it?"), "QUESTION is written without a flag"),
        (("probe", "--model", "embedded"), "SPEC is written without a flag"),
        (("audit", "x.png", "Is it?", "--temperature", "0"), "-o temperature=VALUE"),
        (("decide", "x.png", "Is it?", "--api-key", "k"), "-o api_key=env:VARIABLE"),
        (("samples", "x", "--count", "3"), "did you mean --n"),
        (("decide", "x.png", "Is it?", "--samples", "two"), "'two' is not a whole number"),
        (("decide", "x.png", "Is it?", "--samples", "0"), "0 is below 1"),
        (("audit", "x.png", "Is it?", "--gate", "flag=x"), "'flag=x' is neither"),
    ):
        with case(*arguments):
            code, _, err = call(*arguments)
            assert (code, hint in err) == (2, True), err
