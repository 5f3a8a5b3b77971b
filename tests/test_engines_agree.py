"""The embedded model gives the same numbers in two engines, and the same reply every time."""

import pytest

pytest.importorskip("xllamacpp")
for needed in ("torch", "transformers", "gguf"):
    pytest.importorskip(needed, reason="needs the packages that the model is trained with")

from benchmarks import engines  # noqa: E402 - only where its packages are
from faithful_decide import Decider  # noqa: E402 - as above

pytestmark = pytest.mark.filterwarnings("ignore")  # of other people's packages


@pytest.fixture(scope="module")
def decider():
    """The embedded model."""
    with Decider("embedded") as loaded:
        yield loaded


@pytest.fixture(scope="module")
def drawn(decider):
    """Questions about scenes that it was not trained on."""
    return engines.cases(decider.backend, 5, 50)


def test_verdict_log_probabilities_agree(decider, drawn):
    """Shipped weights in llama.cpp and the same in Hugging Face differ by at most 0.1 nat."""
    row = engines.agreement(decider, drawn)
    assert row.n >= 45
    assert row.value <= row.target


def test_verdicts_agree_everywhere(decider, drawn):
    """In process, behind a server, and in Hugging Face's form through Outlines, if it is here."""
    pytest.importorskip("outlines")
    rows = list(engines.everywhere(decider, drawn[:8]))
    assert len(rows) >= 4
    assert [row.figure for row in rows if not row.ok] == []


def test_a_second_question_reuses_the_image(decider):
    """At least nine tenths of what two prompts share are not computed again."""
    pairs = engines.cases(decider.backend, 6, 10, per_scene=2)
    assert engines.reuse(decider, pairs).ok


def test_threads_decide_what_one_thread_decides(decider, drawn):
    """In 32 threads at once every decision equals the one made alone."""
    assert engines.threads(decider, drawn[:3]).ok


@pytest.mark.parametrize("samples", [1, 3])
def test_a_seeded_call_is_reproducible(decider, drawn, samples):
    """The same call gives the same bytes, greedily and with samples, whatever lies between."""
    assert engines.reproducible(decider, drawn[:4], 10, samples).ok
