"""The same report with another text in every place where a text can stand."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from itertools import count

from pydantic import BaseModel

from faithful_decide._core.types import Span

# Not text: one of a few words, or checked for its form.
CLOSED = {
    "kind",
    "order",
    "enforcement",
    "finish",
    "source",
    "tier",
    "force_mode",
    "outcome",
    "relation",
    "state",
    "label",
    "value",
    "witness_says",
    "of",
    "request_sha256",
}


def filled(report, *texts):
    """Put a text into every field, keys included, past every validation; several take turns.

    There is a number behind each, so that no two are the same and nothing falls together.
    """
    numbers = count()

    def put():
        number = next(numbers)
        return f"{texts[number % len(texts)]} {number}"

    def walk(value, name=""):
        if isinstance(value, Span):
            return Span(start=0, end=0)
        if isinstance(value, BaseModel):
            parts = {key: walk(getattr(value, key), key) for key in type(value).model_fields}
            return type(value).model_construct(**parts)
        if is_dataclass(value):
            other = object.__new__(type(value))
            for field in fields(value):
                object.__setattr__(other, field.name, walk(getattr(value, field.name), field.name))
            return other
        if isinstance(value, Mapping):
            return {put(): walk(inner) for inner in value.values()}
        if isinstance(value, tuple):
            return tuple(walk(inner, name) for inner in value)
        # A text that is not there stays away: its absence is another shape of the page.
        return put() if isinstance(value, str) and value and name not in CLOSED else value

    return walk(report)
