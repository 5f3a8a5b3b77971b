"""Verdicts that code computes: typed findings from the model, and a rule of the caller's.

    class Seen(BaseModel):
        animal_wears_something: bool
        things_upside_down: int

    Question("Is it funny?", findings=Seen,
             rule=lambda seen: seen.animal_wears_something or seen.things_upside_down > 0)

The strongest thing that can be done for a verdict is not to leave it to the model. It reports what
it sees, in fields with types, and the rule draws the conclusion; then nothing but the findings can
have led to the verdict, and only they have to be doubted. The model is still asked for a verdict of
its own, last, and both are kept, so that it can be seen how often the two part.

`findings` stands before `observations`, as it does in the alphabet, and its fields are in the order
of the alphabet as well, at any depth. So the contract keeps its property that sorting the keys
changes nothing.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError
from pydantic.errors import PydanticInvalidForJsonSchema

from faithful_decide._core.json_schema import object_schema
from faithful_decide._core.json_text import broken
from faithful_decide._core.tokens import check_words
from faithful_decide._core.types import first_of
from faithful_decide.errors import QuestionError

if TYPE_CHECKING:
    from faithful_decide._core.types import Question

__all__ = ["conclude", "described", "findings_schema", "read_findings", "written_findings"]

_PLAIN = frozenset({"string", "integer", "boolean"})


def findings_schema(model: type[BaseModel]) -> dict[str, Any]:
    """Write the schema of findings with what every engine and server takes, and nothing else.

    Fields are booleans, integers, strings, choices of strings, and lists and models of these; a
    field of another kind is a `QuestionError`. Bounds are left out, and checked on the reply.
    """
    try:
        whole = model.model_json_schema()
    except PydanticInvalidForJsonSchema as error:
        raise _unfit(model.__name__) from error
    return _plain(whole, whole.get("$defs", {}), model.__name__, ())


def _plain(
    schema: dict[str, Any], named: dict[str, Any], where: str, around: tuple[str, ...]
) -> dict[str, Any]:
    """One schema without references, of which `named` holds the targets; `around` are the models
    that this one stands in.
    """
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        if name in around:
            msg = f"the finding {where} can hold another {name}, without an end"
            raise QuestionError(msg, hint="write findings as a list of models that hold no models")
        return _plain(named[name], named, where, (*around, name))
    if "const" in schema:
        schema = {**schema, "enum": [schema["const"]]}
    kind = schema.get("type")
    if "enum" in schema and all(isinstance(value, str) for value in schema["enum"]):
        for value in schema["enum"]:
            check_words(value, f"the value of the finding {where}")
        return {"type": "string", "enum": list(schema["enum"])}
    if kind in _PLAIN and "enum" not in schema:
        return {"type": kind}
    if kind == "array" and "items" in schema:
        return {"type": "array", "items": _plain(schema["items"], named, where, around)}
    if kind == "object" and "properties" in schema:
        for name in schema["properties"]:
            check_words(name, f"the name of the finding {where}")
        properties = {
            name: _plain(part, named, f"{where}.{name}", around)
            for name, part in sorted(schema["properties"].items())
        }
        return object_schema(properties)
    raise _unfit(where)


def _unfit(where: str) -> QuestionError:
    msg = f"the finding {where} is of a kind that a model cannot be held to"
    hint = (
        "use bool, int, str, Literal of strings, an Enum of strings, and lists or models of these"
    )
    return QuestionError(msg, hint=hint)


def described(model: type[BaseModel]) -> str:
    """Say in a line what the findings are: the names of the fields, with their descriptions."""
    called = {
        alias if isinstance(alias := field.validation_alias, str) else name: field.description
        for name, field in model.model_fields.items()
    }
    return "; ".join(f"{name} ({what})" if what else name for name, what in sorted(called.items()))


def written_findings(findings: BaseModel) -> dict[str, Any]:
    """Findings as a reply has them: their fields in the order of the schema."""
    written: dict[str, Any] = json.loads(
        json.dumps(findings.model_dump(mode="json", by_alias=True), sort_keys=True)
    )
    return written


def read_findings(model: type[BaseModel], value: object) -> BaseModel:
    """Read the findings of a reply; what is not of their types is `Broken`, and never converted."""
    try:
        return model.model_validate_json(json.dumps(value), strict=True)
    except ValidationError as error:
        broken(f"its findings are not what was asked for: {first_of(error)}")


def conclude(question: Question, findings: object) -> str:
    """Let the caller's rule draw the verdict; what it returns has to be one, or a truth value."""
    if question.rule is None:
        msg = "the question has findings but no rule"
        raise QuestionError(msg, hint="pass rule= beside findings=")
    try:
        drawn = question.rule(findings)
    except Exception as error:
        msg = f"the rule failed on the findings: {type(error).__name__}: {error}"
        raise QuestionError(
            msg, hint="correct the rule; the findings are what the model reported"
        ) from error
    if getattr(drawn, "shape", None) == ():
        # A number of numpy, or of a library like it, as one of Python.
        drawn = drawn.item()  # type: ignore[union-attr]
    two_way = len(question.verdicts) == 2  # noqa: PLR2004 - yes and no, or the like
    if isinstance(drawn, bool) and two_way:
        return question.verdicts[0 if drawn else 1]
    if not isinstance(drawn, str) or drawn not in question.labels:
        msg = f"the rule returned {drawn!r}, which is none of the verdicts"
        raise QuestionError(msg, hint="return one of them, or for a two-way question True or False")
    return drawn
