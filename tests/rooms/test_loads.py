"""Between a decision and everything larger: it loads no audit, no batch and no report.

A page shares its templates with audits, so whoever asks for one loads what they are made of.
"""

import os
import subprocess
import sys

import pytest

CODE = """
    import sys
    from faithful_decide import decide
    from faithful_decide.testing import ScriptedBackend, registered, reply_text
    from PIL import Image
    Image.new("RGB", (8, 8)).save("picture.png")
    backend = ScriptedBackend(lambda request: reply_text("yes"))
    {run}
    ours = (name for name in sys.modules if name.startswith("faithful_decide"))
    print("loaded", *ours)
"""
ROOMS = {
    'decide("picture.png", "Is it?", model=backend)': set(),
    'str(decide("picture.png", "Is it?", model=backend))': {"_report"},
    'decide("picture.png", "Is it?", model=backend).to_html()': {"_report"},
    """
    from faithful_decide._cli import main
    sys.argv = ["faithful-decide", "decide", "picture.png", "Is it?", "--model", "scripted/x"]
    with registered("scripted", lambda rest: backend): main.run()
    """: {"_report"},
}


def modules(run, folder):
    code = "\n".join(line.strip() for line in CODE.format(run=run).splitlines())
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.rpartition("loaded ")[2].split()) - {"faithful_decide.testing"}


@pytest.mark.parametrize("run", ROOMS)
def test_what_a_decision_does_not_need_it_does_not_load(run, tmp_path):
    """Neither when it is made, nor when it is printed or shown, nor on the command line."""
    rooms = {name.split(".")[1] for name in modules(run, tmp_path) if name.count(".")}
    assert rooms & {"_audit", "_batch", "_report", "_sklearn"} == ROOMS[run]


def test_few_modules_make_a_decision(tmp_path):
    """A number to know of, when it grows."""
    (run, *_) = ROOMS
    assert len(modules(run, tmp_path)) <= 38
