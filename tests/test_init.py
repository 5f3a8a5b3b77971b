"""The public surface: every name loads, is documented, and appears where users look for it."""

import asyncio
import inspect
import pickle
import pydoc
import re
from pathlib import Path

import pytest
from pydantic import BaseModel

import faithful_decide
from faithful_decide import UsageError, _version
from faithful_decide.calibration import wilson
from tests.support.cases import case


def test_every_public_name_loads_and_says_what_it_is():
    """A name of `__all__` exists; functions and classes have a docstring."""
    for name in faithful_decide.__all__:
        value = getattr(faithful_decide, name)
        assert name in dir(faithful_decide)
        if inspect.isclass(value) or inspect.isfunction(value):
            assert inspect.getdoc(value)


def test_public_names_name_no_private_file():
    """Pickles and tracebacks name the package, and a pickle of each class finds its way back."""
    for name in faithful_decide.__all__:
        value = getattr(faithful_decide, name)
        if inspect.isclass(value) or inspect.isfunction(value):
            assert value.__module__ == "faithful_decide"
            assert pickle.loads(pickle.dumps(value)) is value


def test_an_unknown_name_is_an_attribute_error():
    """As in any module."""
    with pytest.raises(AttributeError, match="no attribute 'answer'"):
        getattr(faithful_decide, "answer")  # noqa: B009 - a plain access is an error to linters


def test_every_error_is_public():
    """What can be raised can be caught by its public name."""
    from faithful_decide import errors

    assert set(errors.__all__) <= set(faithful_decide.__all__)


def test_the_version_is_a_version():
    """And the same everywhere."""
    assert faithful_decide.__version__ == _version.__version__
    assert all(part.isdigit() for part in _version.__version__.split("."))


def routines_of(path):
    """A function, or a class and its public methods that this package has written."""
    try:
        thing = pydoc.locate(path)
    except pydoc.ErrorDuringImport:
        return  # what it needs is not installed
    if inspect.isfunction(thing):
        yield thing
    if inspect.isclass(thing) and not getattr(thing, "_is_protocol", False):
        yield thing
        for name, member in inspect.getmembers(thing, inspect.isroutine):
            ours = getattr(member, "__module__", None) or ""
            if not name.startswith("_") and ours.startswith("faithful_decide"):
                yield member


def named_by(routine):
    """The arguments that it names; none where it takes any, or pydantic checks them."""
    if inspect.isclass(routine) and issubclass(routine, (BaseModel, Exception)):
        return []
    function = inspect.unwrap(routine.__init__ if inspect.isclass(routine) else routine)
    if not inspect.isfunction(function) or function.__code__.co_flags & inspect.CO_VARKEYWORDS:
        return []
    parameters = inspect.signature(routine).parameters.values()
    return [p.name for p in parameters if p.kind is not p.POSITIONAL_ONLY and p.name != "self"]


def test_a_mistyped_argument_is_named_beside_the_one_that_was_meant():
    """Whatever is called: a function, a class, or a method of one."""
    page = (Path(__file__).parents[1] / "docs/reference/api.md").read_text(encoding="utf-8")
    tried = 0
    for path in re.findall(r"::: (faithful_decide\.[\w.]+)", page):
        for routine in routines_of(path):
            if not (names := named_by(routine)):
                continue
            with case(path, routine):
                tried += 1
                with pytest.raises(UsageError, match="has no argument") as caught:
                    asyncio.run(routine(**{f"{names[-1]}x": None}))
                assert names[-1] in caught.value.hint
                assert isinstance(caught.value, TypeError)
    assert tried > 60


def test_an_error_from_inside_a_call_is_that_error():
    """And so is Python's own about an argument that is missing or one too many."""
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'text'"):
        faithful_decide.Question()
    with pytest.raises(TypeError, match="takes 1 positional argument"):
        faithful_decide.verify_stored("{}", "squirrel.png")
    with pytest.raises(TypeError, match="unsupported operand"):
        wilson("3", n=5)
