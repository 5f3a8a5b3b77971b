"""A reply that fits a request, whatever shape it asks for."""

import json


def fitting(
    request, verdict, *, objection="", level=None, about="the image", seen="a scripted scene"
):
    """A reply with one observation and this verdict; where there is room to object, it may."""
    said = {
        "about": about,
        "level": level or ("rejects" if objection else "none"),
        "n": 1,
        "relies_on": [],
        "seen": seen,
        "verdict": verdict,
        "why": objection,
    }

    def value(name, schema):
        if name in said:
            return said[name]
        if schema["type"] == "object":
            return {key: value(key, part) for key, part in schema["properties"].items()}
        if schema["type"] == "array":
            return [value("", schema["items"])]
        return "it is so"

    return json.dumps(value("", request.schema))
