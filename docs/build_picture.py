# ruff: noqa: INP001 - a script beside the pages, not a package
"""Draws `docs/forced-pair.svg`: what the demo's model says it sees when it is told each verdict.

    python docs/build_picture.py

Everything in the picture is from one audit of the sample image; nothing is written by hand.
"""

from __future__ import annotations

import base64
from html import escape
from importlib import resources
from pathlib import Path
from textwrap import wrap

from faithful_decide import audit

QUESTION = "Does this image show anything funny?"
SAMPLE = resources.files("faithful_decide") / "embedded" / "sample.png"
TARGET = Path(__file__).resolve().parent / "forced-pair.svg"
WIDTH, COLUMN, LINE = 900, 300, 20
FONT = "font-family='system-ui, -apple-system, Segoe UI, sans-serif'"


def text(
    x: int, y: int, words: str, *, size: int = 14, weight: int = 400, ink: str = "#222"
) -> str:
    """A line of text."""
    style = f"{FONT} font-size='{size}' font-weight='{weight}' fill='{ink}'"
    return f"<text x='{x}' y='{y}' {style}>{escape(words)}</text>"


def main() -> None:
    """Audit the sample, and draw what came of it."""
    report = audit(str(SAMPLE), QUESTION, tier="standard")
    pair = {verdict: report.forced[verdict] for verdict in ("yes", "no")}
    seen = {v: {one.about: one.seen for one in told.observations} for v, told in pair.items()}
    shapes, tallest = [], 0
    for place, (verdict, told) in enumerate(pair.items()):
        other = seen["no" if verdict == "yes" else "yes"]
        x, y = COLUMN + 30 + place * COLUMN, 64
        shapes.append(text(x, y, f"Told \u201c{verdict}\u201d", size=17, weight=700))
        for one in told.observations:
            differs = other.get(one.about) != one.seen
            ink = "#b3261e" if differs else "#222"
            for part in wrap(f"{one.about}: {one.seen}", 33):
                y += LINE
                shapes.append(text(x, y, part, ink=ink, weight=600 if differs else 400))
            y += 6
        y += 8
        for part in wrap(f"\u201c{told.reasoning}\u201d", 36):
            y += LINE
            shapes.append(text(x, y, part, ink="#555"))
        tallest = max(tallest, y)
    height = max(tallest + 28, 270)
    picture = base64.b64encode(SAMPLE.read_bytes()).decode()
    TARGET.write_text(
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {height}' role='img'>"
        f"<title>{escape(QUESTION)} The same picture, told yes and told no.</title>"
        f"<rect width='{WIDTH}' height='{height}' rx='10' fill='#faf9f7'/>"
        + text(24, 32, QUESTION, size=16, weight=600)
        + f"<image x='24' y='50' width='280' height='200' href='data:image/png;base64,{picture}'/>"
        + "".join(shapes)
        + "</svg>\n",
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
