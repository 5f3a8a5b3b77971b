"""Questions in everyday wording about drawn scenes, each with the right verdict.

The texts in `questions.jsonl` were written by hand, by somebody who had not seen what the embedded
model was trained on, with the mistakes that people make. A text has places such as `{animal}`,
filled from a scene, so that it can be asked about many. `verdict` works out what is right from the
truth of the scene alone; it is None where the question does not apply or people could disagree:
two things that are nearly as large, a ball where circles are counted, whether a worn hat is one
more thing.
"""

from __future__ import annotations

import json
import operator
import re
from dataclasses import dataclass
from math import sqrt
from pathlib import Path

from faithful_decide.embedded.scenes import (
    ACCESSORIES,
    ANIMALS,
    COLOURS,
    MOODS,
    OBJECTS,
    SHAPES,
    TURNABLE,
    VEHICLES,
    make_scene,
)

ENTRIES = [
    json.loads(line)
    for line in Path(__file__).with_name("questions.jsonl").read_text(encoding="utf-8").splitlines()
]
FAMILIES = {
    "presence": ("exists", "any_animal", "any_shape"),
    "attribute": (
        *("colour", "wears", "rides", "upside_down"),
        *("any_wears", "any_rides", "any_upside_down"),
    ),
    "relation": ("left_of", "right_of", "above", "below"),
    "count": ("more_than", "at_least", "exactly", "fewer_than", "at_most", "more_a_than_b"),
    "size": ("larger", "smaller"),
    "mood": ("mood",),
    "incongruity": ("funny",),
    "choice": (
        *("which_animal", "which_thing", "how_many", "what_colour", "what_mood", "what_wears"),
        *("largest", "smallest", "leftmost", "rightmost"),
    ),
}  # fmt: skip
FAMILY = {form: family for family, forms in FAMILIES.items() for form in forms}
NUMBERS = ("no", "one", "two", "three", "four", "five", "six")
PLURALS = {"mouse": "mice", "fish": "fish", "fox": "foxes", "sunglasses": "sunglasses"}
LIKE_SHAPES = {"circle": {"ball"}, "square": {"book"}, "triangle": {"pizza", "cake"}, "star": set()}
APART = 0.12
"""How far apart the middles of two things have to be, as a share of the longer side."""


@dataclass(frozen=True)
class Asked:
    """A question about one scene: what is asked, with which verdicts, and what would be right."""

    text: str
    labels: tuple[str, ...]
    form: str
    right: str

    @property
    def family(self):
        """What kind of question it is."""
        return FAMILY[self.form]


def ask(rng, entry, scene, want=None):
    """Fill a text from a scene; None if the scene does not fit, or what is right is not `want`."""
    values = _values(rng, scene)
    args = [arg.format(**values) for arg in entry["args"]]
    right = verdict(scene, entry["form"], args, rng)
    labels = _labels(rng, scene, entry.get("labels", ("yes", "no")), right, args)
    if right is not None and right.isdecimal() and "two" in labels:
        right = NUMBERS[int(right)]
    if right not in labels or want not in {None, right}:
        return None
    text = entry["text"].format(**values)
    if re.sub(r"\{\w+\}", "", entry["text"]).isupper():
        text = text.upper()
    return Asked(text, tuple(labels), entry["form"], right)


def asked_about(rng, entry, scenes, want=None):
    """Fill a text from the first of the scenes that fits, and take that scene out of the list."""
    for _ in range(2000):
        for place, scene in enumerate(scenes):
            asked = ask(rng, entry, scene, want)
            if asked is not None:
                return scenes.pop(place), asked
        scenes.extend(make_scene(rng.getrandbits(48)) for _ in range(20))
    raise LookupError(entry["text"])


def set_of(rng, entries, times=2):
    """Every text several times, yes and no in turn, each about a scene of its own."""
    scenes = []
    for entry in entries:
        labels = entry.get("labels", ("yes", "no"))
        closed = [label for label in labels if "{" not in label]
        turn = rng.randrange(2)
        for i in range(times):
            want = None
            if "labels" not in entry:
                want = closed[(i + turn) % 2]
            elif closed:
                want = rng.choice(closed)
            scene, asked = asked_about(rng, entry, scenes, want)
            if i % 2 and "labels" not in entry:
                asked = Asked(asked.text, ("no", "yes"), asked.form, asked.right)
            yield scene, asked


def _values(rng, scene):
    """Something for every place of a text, mostly from the scene, without a kind twice."""
    kinds = [thing.kind for thing in scene.things]

    def pick(pool, *but):
        there = [kind for kind in kinds if kind in pool and kind not in but]
        if there and rng.random() < 0.8:
            return rng.choice(there)
        return rng.choice([kind for kind in pool if kind not in but])

    nouns = tuple(one for one in (*ANIMALS, *OBJECTS, *SHAPES, "top hat", "crown"))
    values = {
        name: pick(pool)
        for name, pool in {
            "animal": ANIMALS, "object": OBJECTS, "shape": SHAPES, "thing": nouns,
            "turnable": TURNABLE, "vehicle": VEHICLES,
        }.items()
    }  # fmt: skip
    for name, pool in {"animal": ANIMALS, "shape": SHAPES, "thing": nouns}.items():
        values[f"{name}2"] = pick(pool, values[name])
    colours = [thing.colour for thing in scene.things if thing.colour]
    values["colour"] = rng.choice(colours if colours and rng.random() < 0.6 else list(COLOURS))
    values["colour2"] = rng.choice([c for c in COLOURS if c != values["colour"]])
    values["mood"] = rng.choice(list(MOODS))
    values["accessory"] = rng.choice(ACCESSORIES)
    worn = [thing.wears for thing in scene.things if thing.wears]
    if worn and rng.random() < 0.6:
        values["accessory"] = rng.choice(worn)
    count = rng.randint(2, 5)
    for name, word in list(values.items()):
        values[f"{name[:-1]}s2" if name[-1] == "2" else f"{name}s"] = PLURALS.get(word, f"{word}s")
        values[f"a_{name}"] = f"{'an' if word[0] in 'aeiou' else 'a'} {word}"
    glasses = values["accessory"] == "sunglasses"
    values["an_accessory"] = "sunglasses" if glasses else values["a_accessory"]
    values["the_accessory"] = f"the {values['accessory']}"
    return {**values, "n": str(count), "number": NUMBERS[count], "answer": "", "other": ""}


def _labels(rng, scene, labels, right, args):
    """The verdicts to choose from, where the text has places for them in any order."""
    if "{answer}" not in labels or right is None:
        return list(labels)
    pool = next(
        (p for p in (ANIMALS, OBJECTS, SHAPES, tuple(COLOURS), tuple(MOODS)) if right in p),
        ACCESSORIES,
    )
    kinds = {thing.kind for thing in scene.things}
    ranked = args[:1] in (["animal"], ["thing"], ["shape"], ["upside_down"])
    there = [k for k in sorted(kinds) if args[:1] in (["thing"], ["upside_down"]) or k in pool]
    others = [
        one
        for one in pool
        if one != right and one not in kinds and not LIKE_SHAPES.get(one, set()) & kinds
    ]
    rng.shuffle(others)
    if ranked:
        others = [k for k in rng.sample(there, len(there)) if k != right] + others
    made = [right, *others[: len(labels) - 1]]
    rng.shuffle(made)
    return made


# What is right


def verdict(scene, form, args, rng=None):
    """What is right, or None where the question does not apply or is in doubt."""
    return _RULES[form](scene, *args) if form != "which_thing" else _which_thing(scene, rng, *args)


def _said(truth):
    return None if truth is None else "yes" if truth else "no"


def _count(scene, what):
    """How many there are: at least, and at most."""
    worn = [thing.wears for thing in scene.things if thing.wears]
    kinds = [thing.kind for thing in scene.things]
    if what in {"thing", "anything"}:
        return len(kinds), len(kinds) + len(worn)
    if what == "animal":
        return (sum(kind in ANIMALS for kind in kinds),) * 2
    *colour, noun = what.split() if what not in ACCESSORIES else [what]
    if noun == "shape" or noun in SHAPES:
        shapes = SHAPES if noun == "shape" else (noun,)
        sure = sum(t.kind in shapes and t.colour in (colour or [t.colour]) for t in scene.things)
        return sure, sure + sum(kind in LIKE_SHAPES[shape] for shape in shapes for kind in kinds)
    sure = kinds.count(what) + worn.count(what)
    return sure, sure


def _compared(relation):
    def rule(scene, n, what):
        low, high = (relation(count, int(n)) for count in _count(scene, what))
        return _said(low) if low == high else None

    return rule


def _exists(scene, what):
    return _compared(operator.ge)(scene, 1, what)


def _only(scene, kind):
    """The one thing of a kind; None where there are none or several."""
    found = [thing for thing in scene.things if thing.kind == kind]
    return found[0] if len(found) == _count(scene, kind)[0] == 1 else None


def _of(attribute):
    """A rule about an attribute of the only thing of a kind."""

    def rule(scene, kind, value="yes"):
        thing = _only(scene, kind)
        return None if thing is None else _said(_fits(getattr(thing, attribute), value))

    return rule


def _fits(value, wanted):
    """Whether an attribute is what is asked; a crown may be a hat to some."""
    if wanted == "hat":
        return None if value == "crown" else value == "top hat"
    return bool(value) if wanted in {"anything", "yes"} else value == wanted


def _any(attribute):
    """A rule about the same of any thing."""

    def rule(scene, wanted="yes"):
        if not any(thing.kind in ANIMALS for thing in scene.things):
            return None
        fits = [_fits(getattr(thing, attribute), wanted) for thing in scene.things]
        return "yes" if True in fits else None if None in fits else "no"

    return rule


def _any_upside_down(scene, what):
    things = [t for t in scene.things if what == "thing" or t.kind in ANIMALS]
    return _said(any(thing.upside_down for thing in things)) if things else None


def _side(axis, sign):
    def rule(scene, one, other):
        a, b = _only(scene, one), _only(scene, other)
        if a is None or b is None or a.rides == b.kind or b.rides == a.kind:
            return None
        gaps = [
            sign * (q[axis] + q[axis + 2] - p[axis] - p[axis + 2]) / 2 / max(scene.size)
            for p, q in ((a.box, b.box), (a.whole, b.whole))
        ]
        if min(map(abs, gaps)) < APART or min(gaps) < 0 < max(gaps):
            return None
        return _said(gaps[0] > 0)

    return rule


def _ratio(a, b):
    """How many times as large a is as b, by the reading that says least; below 1 if smaller."""

    def sizes(thing):
        x, y, right, bottom = thing.box
        whole = max(thing.whole[2] - thing.whole[0], thing.whole[3] - thing.whole[1])
        return thing.size, 1.1 * sqrt((right - x) * (bottom - y)), whole

    ratios = [p / q for p, q in zip(sizes(a), sizes(b), strict=True)]
    return min(ratios) if min(ratios) > 1 else max(ratios)


def _larger(sign):
    def rule(scene, one, other):
        a, b = _only(scene, one), _only(scene, other)
        if a is None or b is None:
            return None
        ratio = _ratio(a, b)
        return _said((ratio > 1) == sign) if not 3 / 4 < ratio < 4 / 3 else None

    return rule


def _more(scene, one, other):
    (low, high), (least, most) = _count(scene, one), _count(scene, other)
    if high == most == 0:
        return None
    return "yes" if low > most else "no" if high <= least else None


def _mood(scene, mood):
    cat = _only(scene, "cat")
    return None if cat is None else _said(cat.mood == mood)


def _which_animal(scene, attribute="", value="yes"):
    animals = [t for t in scene.things if t.kind in ANIMALS]
    found = [t.kind for t in animals if not attribute or _fits(getattr(t, attribute), value)]
    return found[0] if len(found) == 1 else None


def _which_thing(scene, rng, attribute=""):
    found = [t.kind for t in scene.things if not attribute or getattr(t, attribute)]
    if attribute and len(found) != 1:
        return None
    return rng.choice(found) if found else None


def _how_many(scene, what):
    low, high = _count(scene, what)
    return str(low) if low == high else None


def _what(attribute, nothing=""):
    def rule(scene, kind="cat"):
        thing = _only(scene, kind)
        return None if thing is None else getattr(thing, attribute) or nothing

    return rule


def _most(measure, limit):
    """The kind of what is clearly ahead of all other things of a category."""

    def rule(scene, what):
        pool = {"animal": ANIMALS, "shape": SHAPES}.get(what)
        things = [t for t in scene.things if pool is None or t.kind in pool]
        for one in things:
            rivals = [t for t in things if t.kind != one.kind]
            if rivals and all(measure(scene, one, rival) > limit for rival in rivals):
                return one.kind
        return None

    return rule


def _ahead(sign):
    return lambda scene, a, b: sign * (a.centre[0] - b.centre[0]) / max(scene.size)


_RULES = {
    "exists": _exists,
    "any_animal": lambda scene: _exists(scene, "animal"),
    "any_shape": lambda scene: _exists(scene, "shape"),
    "colour": _of("colour"),
    "wears": _of("wears"),
    "rides": _of("rides"),
    "upside_down": _of("upside_down"),
    "any_wears": _any("wears"),
    "any_rides": _any("rides"),
    "any_upside_down": _any_upside_down,
    "left_of": _side(0, 1),
    "right_of": _side(0, -1),
    "above": _side(1, 1),
    "below": _side(1, -1),
    "more_than": _compared(operator.gt),
    "at_least": _compared(operator.ge),
    "exactly": _compared(operator.eq),
    "fewer_than": _compared(operator.lt),
    "at_most": _compared(operator.le),
    "more_a_than_b": _more,
    "larger": _larger(sign=True),
    "smaller": _larger(sign=False),
    "mood": _mood,
    "funny": lambda scene: _said(scene.funny),
    "which_animal": _which_animal,
    "how_many": _how_many,
    "what_colour": _what("colour"),
    "what_mood": _what("mood"),
    "what_wears": _what("wears", "nothing"),
    "largest": _most(lambda _, a, b: _ratio(a, b), 4 / 3),
    "smallest": _most(lambda _, a, b: _ratio(b, a), 4 / 3),
    "leftmost": _most(_ahead(-1), APART),
    "rightmost": _most(_ahead(1), APART),
}
