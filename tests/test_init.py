"""The public surface: every name loads, is documented, and appears where users look for it."""

import inspect
import pickle

import pytest

import faithful_decide
from faithful_decide import _version


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
