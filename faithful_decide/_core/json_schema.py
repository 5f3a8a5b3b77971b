"""How a schema of an object is written for servers: what is said twice, and what is left out.

The order of the keys is said wherever a server may look for it. Some read it from `properties`,
some from `required`, some from `propertyOrdering`, which is in no standard; servers that refuse
what they do not know get the same without it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["fits", "object_schema", "standard", "without"]


def object_schema(properties: dict[str, Any]) -> dict[str, Any]:
    """Write the schema of an object: all keys required, no others, its order said everywhere."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "propertyOrdering": list(properties),
        "additionalProperties": False,
    }


def standard(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what some servers do not know, for those that refuse what they do not know."""
    plain: Any = schema
    for key in ("propertyOrdering", "minItems", "maxItems"):
        plain = without(key, plain)
    return dict(plain)


def without(key: str, value: Any) -> Any:  # noqa: ANN401 - JSON
    """Leave out a key at any depth."""
    if isinstance(value, dict):
        return {name: without(key, inner) for name, inner in value.items() if name != key}
    return [without(key, item) for item in value] if isinstance(value, list) else value


_TYPES = {"string": str, "integer": int, "boolean": bool, "array": list, "object": dict}


def fits(value: object, schema: Mapping[str, Any]) -> bool:
    """Whether a value that was read from JSON fits a schema of ours, the order of its keys too."""
    kind = _TYPES[schema["type"]]
    # A truth value is an integer to Python, and not to JSON.
    if type(value) is not kind or value not in schema.get("enum", [value]):
        return False
    if isinstance(value, list):
        return all(fits(item, schema["items"]) for item in value)
    if isinstance(value, dict):
        properties = schema["properties"]
        return list(value) == list(properties) and all(
            fits(value[key], part) for key, part in properties.items()
        )
    return True
