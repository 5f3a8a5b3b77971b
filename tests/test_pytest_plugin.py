"""The pytest plugin, in runs of pytest of its own."""

import subprocess
import sys
import textwrap

import pytest

HEAVY = ("PIL", "jinja2", "numpy", "openai", "pydantic", "tenacity", "xllamacpp")


@pytest.fixture
def report():
    """An audit with a flag, built like that of the tests of reports."""
    from PIL import Image

    from faithful_decide import Question, decide
    from faithful_decide._audit.types import AuditReport, Finding
    from faithful_decide.testing import ScriptedBackend, reply_text

    question = Question("Is it funny?")
    model = ScriptedBackend([reply_text("yes")])
    return AuditReport(
        version="0",
        question=question,
        decision=decide(Image.new("RGB", (4, 4)), question, model=model),
        tier="standard",
        model="scripted",
        checks={},
        flags=("unsupported_reasons",),
        label="flagged",
        findings=(
            Finding(
                flag="unsupported_reasons",
                name="unsupported_reasons",
                state="raised",
                sentence="It denies\x1b[31m its reasons.",
            ),
        ),
        thresholds="",
        calls=0,
    )


def test_the_plugin_loads_next_to_nothing():
    """Whoever has the package installed pays for it in every run of pytest."""
    code = (
        "import sys, pytest; before = set(sys.modules); import faithful_decide.pytest_plugin;"
        "print(*(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    own = {"faithful_decide"} | {
        f"faithful_decide.{name}" for name in ("_nearest", "_public", "errors", "pytest_plugin")
    }
    assert set(done.stdout.split()) <= own


def run(tmp_path, test, *options, ini=""):
    """A run of pytest with nothing but what an installation brings along."""
    (tmp_path / "test_it.py").write_text(textwrap.dedent(test), encoding="utf-8")
    (tmp_path / "pytest.ini").write_text(f"[pytest]\n{ini}", encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options]
    return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)


def test_it_is_found_and_costs_nothing_unused(tmp_path):
    """By its entry point; a run that uses none of it loads nothing heavy."""
    test = f"""
        import sys

        def test_nothing_is_loaded():
            assert "faithful_decide.pytest_plugin" in sys.modules
            assert [name for name in {HEAVY!r} if name in sys.modules] == []
    """
    done = run(tmp_path, test)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("options", "ini", "expected"),
    [
        (["--faithful-model", "openai/a"], "", "openai/a"),
        ([], "faithful_decide_model = openai/b\n", "openai/b"),
        (["--faithful-model", "openai/a"], "faithful_decide_model = openai/b\n", "openai/a"),
    ],
)
def test_the_decider_has_the_model_that_was_asked_for(tmp_path, options, ini, expected):
    """The option before the ini file; the same decider for all tests."""
    test = f"""
        import faithful_decide._api.decide as home

        made = []

        class Stand:
            def __init__(self, model):
                made.append(model)

            def __enter__(self):
                return self

            def __exit__(self, *_):
                made.append("closed")

        home.Decider = Stand

        def test_one(faithful_decider):
            assert made == [{expected!r}]

        def test_two(faithful_decider):
            assert made == [{expected!r}]
    """
    done = run(tmp_path, test, *options, ini=ini)
    assert done.returncode == 0, done.stdout


def test_a_flag_fails_with_its_sentence(report):
    """What is printed says which and why, and cannot colour the terminal."""
    from faithful_decide.pytest_plugin import assert_audit_clean

    with pytest.raises(AssertionError) as caught:
        assert_audit_clean(report)
    assert str(caught.value) == (
        "the audit of scripted is not clean: Is it funny? (yes)\n"
        "  unsupported_reasons: It denies\\u001b[31m its reasons.\n"
        "  (standard tier; allow=(...) lets named ones pass)"
    )
    assert_audit_clean(report, allow=("unsupported_reasons",))
    assert_audit_clean(report, allow="unsupported_reasons")


@pytest.mark.parametrize(
    ("name", "clean"),
    [
        ("faithful_as_far_as_tested", True),
        ("no_violation_found", True),
        ("inconclusive", False),
    ],
)
def test_clean_is_only_what_looked_and_found_nothing(report, name, clean):
    """An audit that settled nothing does not pass for one that found nothing."""
    from faithful_decide.pytest_plugin import assert_audit_clean

    labelled = {"label": name, "label_because": "so", "flags": (), "findings": ()}
    labelled = report.model_copy(update=labelled)
    if clean:
        assert_audit_clean(labelled)
        return
    with pytest.raises(AssertionError, match="so"):
        assert_audit_clean(labelled)
    assert_audit_clean(labelled, allow=(name,))


def test_an_image_is_audited_by_the_model_of_the_run(report, monkeypatch):
    """With the question that stands beside it."""
    import faithful_decide
    from faithful_decide import pytest_plugin

    asked = []

    def audit(image, question, *, model):
        asked.append((image, question, model))
        return report

    monkeypatch.setattr(faithful_decide, "audit", audit, raising=False)
    monkeypatch.setitem(pytest_plugin._chosen, "model", "openai/a")
    with pytest.raises(AssertionError, match="unsupported_reasons"):
        pytest_plugin.assert_audit_clean("cat.png", "Is it funny?")
    assert asked == [("cat.png", "Is it funny?", "openai/a")]


def test_a_report_with_a_question_is_a_mistake(report):
    """And so is an image without one."""
    from faithful_decide import UsageError
    from faithful_decide.pytest_plugin import assert_audit_clean

    with pytest.raises(UsageError):
        assert_audit_clean(report, "Is it funny?")
    with pytest.raises(UsageError):
        assert_audit_clean("cat.png")
