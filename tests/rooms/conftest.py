"""A folder of pictures, models that know what they show, and both doors: Python and the shell."""

from hashlib import sha256
from typing import Any

import pytest

from faithful_decide.organisms import organisms
from faithful_decide.testing import ScriptedBackend, registered
from tests.audit.known_pictures import BARE, HAT, LOW, TOPICS, png_of


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Four pictures, two of them funny, a table that names them, and low thresholds."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(4):
        (folder / f"{number}.png").write_bytes(png_of((number, 40, 90)))
    (folder / "metadata.csv").write_text("file_name\n0.png\n1.png\n2.png\n3.png\n")
    (tmp_path / "low.json").write_text(LOW)
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.fixture
def facts(folder):
    """What the pictures show: even ones are funny."""
    return {
        sha256(path.read_bytes()).hexdigest(): {
            "the tree": "green",
            "the squirrel": BARE if int(path.stem) % 2 else HAT,
        }
        for path in folder.glob("*.png")
    }


class Loaded(list):
    """The backends that were loaded, each with the options it was given; `script` may step in."""

    script = None

    def taken(self):
        """Those loaded since the last time."""
        taken, self[:] = self[:], []
        return taken


@pytest.fixture
def loaded(facts):
    """Makes `organism/NAME` a spec, and keeps what is loaded by it."""
    backends = Loaded()

    def load(
        rest: str,
        *,
        base_url: str | None = None,
        speed: int = 1,
        temperature: bool = True,
        extra: dict[str, Any] | None = None,
    ):
        given = {"base_url": base_url, "speed": speed, "temperature": temperature, "extra": extra}
        model = organisms(facts, TOPICS)[rest]

        def answer(request):
            stepped = backends.script and backends.script(request)
            return stepped or model.generate(request)

        made = ScriptedBackend(answer, name=f"organism/{rest}", capabilities=model.capabilities)
        made.given = given
        backends.append(made)
        return made

    with registered("organism", load):
        yield backends
