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

`findings` stands before `observations`, as it does in the alphabet, so the contract keeps its
property that sorting the keys changes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from faithful_decide._core.json_schema import object_schema
from faithful_decide._core.json_text import broken
from faithful_decide.errors import QuestionError

if TYPE_CHECKING:
    from faithful_decide._core.types import Question

__all__ = ["conclude", "described", "findings_schema", "read_findings"]

_PLAIN = frozenset({"string", "integer", "boolean"})
_KEPT = ("type", "enum", "items", "properties")


def findings_schema(model: type[BaseModel]) -> dict[str, Any]:
    """Write the schema of findings with what every engine and server takes, and nothing else.

    Args:
        model: The findings, as a pydantic model. Its fields are booleans, integers, strings,
            choices of strings, and lists and models of these.

    Returns:
        An ordered schema without references, defaults and bounds; bounds are checked on the reply.

    Raises:
        QuestionError: A field is of another kind.
    """
    whole = model.model_json_schema()
    return _plain(whole, whole.get("$defs", {}), model.__name__)


def _plain(schema: dict[str, Any], known: dict[str, Any], where: str) -> dict[str, Any]:
    if "$ref" in schema:
        return _plain(known[schema["$ref"].rpartition("/")[2]], known, where)
    if "const" in schema:
        schema = {**schema, "enum": [schema["const"]]}
    kind = schema.get("type")
    if "enum" in schema and all(isinstance(value, str) for value in schema["enum"]):
        return {"type": "string", "enum": list(schema["enum"])}
    if kind in _PLAIN and "enum" not in schema:
        return {"type": kind}
    if kind == "array" and "items" in schema:
        return {"type": "array", "items": _plain(schema["items"], known, where)}
    if kind == "object" and "properties" in schema:
        properties = {
            name: _plain(part, known, f"{where}.{name}")
            for name, part in schema["properties"].items()
        }
        return object_schema(properties)
    msg = f"the finding {where} is of a kind that a model cannot be held to"
    hint = (
        "use bool, int, str, Literal of strings, an Enum of strings, and lists or models of these"
    )
    raise QuestionError(msg, hint=hint)


def described(model: type[BaseModel]) -> str:
    """Say in a line what the findings are, with the descriptions of their fields.

    Args:
        model: The findings.

    Returns:
        The names of the fields, each with its description where it has one.
    """
    return "; ".join(
        f"{name} ({field.description})" if field.description else name
        for name, field in model.model_fields.items()
    )


def read_findings(model: type[BaseModel], value: object) -> BaseModel:
    """Read the findings of a reply.

    Args:
        model: What they have to be.
        value: What was written.

    Returns:
        The findings.

    Raises:
        Broken: They are something else.
    """
    try:
        return model.model_validate(value, strict=False)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "they"
        broken(f"its findings are not what was asked for: {place}: {first['msg']}")


def conclude(question: Question, findings: BaseModel) -> str:
    """Let the caller's rule draw the verdict.

    Args:
        question: The question with the rule.
        findings: What the model reported.

    Returns:
        The verdict.

    Raises:
        QuestionError: The rule returned none of the verdicts.
    """
    if question.rule is None:
        msg = "the question has findings but no rule"
        raise QuestionError(msg, hint="pass rule= beside findings=")
    made = question.rule(findings)
    verdict = question.verdicts[0 if made else 1] if isinstance(made, bool) else made
    if verdict not in question.labels or (isinstance(made, bool) and len(question.verdicts) != 2):  # noqa: PLR2004 - two-way
        msg = f"the rule returned {made!r}, which is none of the verdicts"
        raise QuestionError(msg, hint="return one of them, or for a two-way question True or False")
    return str(verdict)
