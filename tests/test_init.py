"""The public surface: every name loads, is documented, and appears where users look for it."""

import ast
import inspect
from pathlib import Path

import pytest

import faithful_decide
from faithful_decide import _version


@pytest.mark.parametrize("name", faithful_decide.__all__)
def test_every_public_name_loads_and_says_what_it_is(name):
    """A name of `__all__` exists; functions and classes have a docstring."""
    value = getattr(faithful_decide, name)
    assert name in dir(faithful_decide)
    if inspect.isclass(value) or inspect.isfunction(value):
        assert inspect.getdoc(value)


def test_type_checkers_see_the_names_that_are_loaded():
    """The imports for type checkers and the table for everybody are the same."""
    tree = ast.parse(Path(faithful_decide.__file__).read_text(encoding="utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    for_types = {
        alias.name: node.module.removeprefix("faithful_decide.")
        for node in block.body
        for alias in node.names
    }
    assert for_types == faithful_decide._HOME_OF


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


def functions():
    """Every public function and method of the surface."""
    for name in faithful_decide.__all__:
        value = getattr(faithful_decide, name)
        if inspect.isfunction(value):
            yield name, value
        elif inspect.isclass(value) and value.__module__.startswith("faithful_decide"):
            yield from (
                (f"{name}.{key}", member)
                for key, member in vars(value).items()
                if inspect.isfunction(member) and not key.startswith("_")
            )


@pytest.mark.parametrize(("name", "function"), [pytest.param(*f, id=f[0]) for f in functions()])
def test_docstrings_name_every_argument(name, function):
    """Args lists what the signature has."""
    documented = inspect.getdoc(function)
    for parameter in inspect.signature(function).parameters.values():
        if parameter.name != "self":
            assert f"{parameter.name}:" in documented, f"{name}: {parameter.name}"
