"""The hierarchy is the one its module draws, and an error says what to do next."""

import ast
import inspect
import pickle
import re
import traceback
from importlib import metadata
from pathlib import Path

import pytest

from faithful_decide import decide, errors
from faithful_decide._core.types import Reply
from faithful_decide.testing import ScriptedBackend, reply_text

CLASSES = [getattr(errors, name) for name in errors.__all__]


def test_the_tree_in_the_docstring_is_the_hierarchy():
    """Every class stands in the drawing, under its parent."""
    drawn, path = {}, []
    for line in errors.__doc__.splitlines():
        if found := re.match(r"([+|\- ]*)([A-Z]\w+Error)\b", line):
            depth = len(found[1]) // 2
            del path[depth:]
            drawn[found[2]] = path[-1] if path else "Exception"
            path.append(found[2])
    assert drawn == {cls.__name__: cls.__base__.__name__ for cls in CLASSES}


def test_a_hint_is_an_attribute_and_part_of_the_traceback():
    """A hint can be read by code and by people."""
    for cls in CLASSES:
        if cls is not errors.MissingExtraError:
            error = cls("it broke", hint="mend it")
            assert (str(error), error.hint) == ("it broke", "mend it")
            assert "hint: mend it" in "".join(traceback.format_exception(error))


def test_errors_survive_pickling():
    """An error raised in another process keeps its message, hint, note and reply."""
    for cls in CLASSES:
        if issubclass(cls, errors.MissingExtraError):
            error = cls("embedded", needed_for="the embedded model")
        elif issubclass(cls, errors.ReplyError):
            error = cls("it broke", reply=Reply("raw", "length"))
        else:
            error = cls("it broke", hint="mend it")
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), str(again), vars(again)) == (cls, str(error), vars(error))


HALF = "\ud83d"


@pytest.mark.parametrize(
    "text",
    [
        HALF,
        f"{{{HALF}",
        f'{{"{HALF}": 1}}',
        f'{{"observations": "{HALF}"}}',
        '{"\\ud83d": 1}',
        reply_text("yes").replace("the image", "\\ud83d"),
        reply_text("yes").replace('"yes"', '"\\ud83d"'),
        f"no JSON {HALF}",
    ],
)
def test_half_a_character_in_a_reply_is_a_typed_error(png, text):
    """Its message and its hint can be written anywhere, and it survives a pickle."""
    with pytest.raises(errors.ContractError) as caught:
        decide(png, "Is it?", model=ScriptedBackend([text]))
    error = caught.value
    f"{error} {error.hint}".encode()
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.reply) == (str(error), error.reply)
    assert isinstance(hash(error.reply), int)


def test_a_missing_extra_prints_a_line_that_installs_it(monkeypatch):
    """In a clone by its path; elsewhere by the names of the packages, which anybody can get."""
    error = errors.MissingExtraError("sklearn", needed_for="a classifier")
    clone = Path(errors.__file__).parents[1]
    assert error.hint == f'install it with: pip install -e "{clone}[sklearn]"'
    monkeypatch.setattr(errors, "__file__", "/nowhere/faithful_decide/errors.py")
    requirements = ["click>=8", "numpy>=2.1; extra == 'sklearn'", 'daft>=0.7; extra == "daft"']
    monkeypatch.setattr(metadata, "requires", lambda _: requirements)
    error = errors.MissingExtraError("sklearn", needed_for="a classifier")
    assert error.hint == 'install it with: pip install "numpy>=2.1"'
    assert "model=" in errors.MissingExtraError("embedded", needed_for="it").hint


def test_every_class_says_when_it_is_raised():
    """No error class without a docstring."""
    assert all(inspect.getdoc(cls) for cls in CLASSES)


NAMED = re.compile(r"\b(max_tokens|allow_urls|base_url|api_key|any_model|n_ctx|timeout)\b(?!=)")


def test_hints_name_options_as_python_writes_them():
    """So that each door can write them as they are written there, at one place."""
    package = Path(errors.__file__).parent
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            hints = [k.value for k in node.keywords if k.arg == "hint"] if is_call(node) else []
            if isinstance(node, ast.Assign | ast.AnnAssign) and names_a_hint(node):
                hints = [node.value] if node.value else []
            for text in (part for hint in hints for part in ast.walk(hint)):
                if isinstance(text, ast.Constant) and isinstance(text.value, str):
                    assert not NAMED.search(text.value), f"{path.name}: {text.value}"


def names_a_hint(node):
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return any("hint" in ast.unparse(target).lower() for target in targets)


def is_call(node):
    return isinstance(node, ast.Call)
