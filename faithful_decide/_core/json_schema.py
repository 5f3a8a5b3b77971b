"""How a schema of an object is written for servers: what is said twice, and what is left out.

The order of the keys is said wherever a server may look for it. Some read it from `properties`,
some from `required`, some from `propertyOrdering`, which is in no standard; servers that refuse
what they do not know get the same without it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["object_schema", "standard"]


def object_schema(properties: dict[str, Any]) -> dict[str, Any]:
    """Write the schema of an object, its order said wherever a server may look for it.

    Args:
        properties: The schema of each value, in the order of the reply.

    Returns:
        The schema: all keys required, no others allowed.
    """
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "propertyOrdering": list(properties),
        "additionalProperties": False,
    }


def standard(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what is not in the standard, for servers that refuse keywords they do not know.

    Args:
        schema: A schema; the order of its `properties` still says the order of the reply.

    Returns:
        The same without `propertyOrdering`, at any depth.
    """
    plain: dict[str, Any] = _without("propertyOrdering", schema)
    return plain


def _without(key: str, value: Any) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, dict):
        return {name: _without(key, inner) for name, inner in value.items() if name != key}
    return [_without(key, item) for item in value] if isinstance(value, list) else value
