"""The hierarchy is the one its module draws, and an error says what to do next."""

import inspect
import pickle
import re
import traceback

from faithful_decide import errors
from faithful_decide._core.types import Reply

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


def test_a_missing_extra_prints_the_install_line():
    """The hint can be pasted into a shell."""
    error = errors.MissingExtraError("embedded", needed_for="the embedded model")
    assert 'pip install "faithful-decide[embedded]"' in error.hint


def test_every_class_says_when_it_is_raised():
    """No error class without a docstring."""
    assert all(inspect.getdoc(cls) for cls in CLASSES)
