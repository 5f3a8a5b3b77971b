"""Ray Data: the class by itself, and once in a real local cluster, which takes its time."""

import os

import numpy as np
import pytest

pytest.importorskip("ray")

import pyarrow as pa

from faithful_decide import AuthError, UnsupportedError, UsageError
from faithful_decide.ray import STRUCT, DecideBatch
from faithful_decide.testing import ScriptedBackend

QUESTION = "Is it dark?"
EXPECTED = ["yes", "no", "yes", "no", "yes", "no"]


def asked(decider, **columns):
    return decider(pa.table(columns)).column("decision").to_pylist()


def test_a_column_is_added(made, paths, encoded):
    """Paths and bytes; the rest of the table is as it was."""
    decide = DecideBatch(QUESTION, model="grey/x", abstain=False)
    table = decide(pa.table({"image": paths, "label": list(range(6))}))
    assert table.column_names == ["image", "label", "decision"]
    assert table.schema.field("decision").type == STRUCT
    assert [values["verdict"] for values in table.column("decision").to_pylist()] == EXPECTED
    assert [values["verdict"] for values in asked(decide, image=encoded)] == EXPECTED
    assert decide(table.slice(0, 0).drop_columns("decision")).num_rows == 0


def test_a_bad_row_spoils_no_other(made, encoded):
    """Each error is in its own row, with its type."""
    decide = DecideBatch(QUESTION, image="photo", decision="dark", model="grey/x")
    table = decide(pa.table({"photo": [encoded[0], None, b"no image", encoded[1]]}))
    values = table.column("dark").to_pylist()
    assert [one["status"] for one in values] == ["decided", "failed", "failed", "decided"]
    assert [one["error"] for one in values] == [None, "ImageError", "ImageError", None]


def test_what_a_batch_is(made, encoded):
    """A table of Arrow with the column; anything else is said at once."""
    decide = DecideBatch(QUESTION, model="grey/x")
    with pytest.raises(UsageError) as caught:
        decide({"image": np.array(encoded)})
    assert "pyarrow" in caught.value.hint
    with pytest.raises(UsageError, match="only photo"):
        decide(pa.table({"photo": encoded}))


def test_a_refused_key_ends_the_job(made, encoded, monkeypatch):
    """As itself, although many images were under way."""
    from tests.support.grey import GreyBackend

    def refuse(self, request):
        msg = "the key was refused"
        raise AuthError(msg)

    monkeypatch.setattr(GreyBackend, "generate", refuse)
    with pytest.raises(AuthError):
        DecideBatch(QUESTION, model="grey/x")(pa.table({"image": encoded}))


def test_an_actor_gets_no_live_model_and_no_key():
    """As for any engine."""
    with pytest.raises(UnsupportedError):
        DecideBatch(QUESTION, model=ScriptedBackend([]))
    with pytest.raises(UsageError):
        DecideBatch(QUESTION, model="openai/x", api_key="sk-canary")


@pytest.fixture(scope="module")
def cluster():
    """Ray on this machine, small; its workers know the model of the tests."""
    import ray

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init(
        num_cpus=1,
        object_store_memory=100 * 2**20,
        include_dashboard=False,
        log_to_driver=False,
        runtime_env={"worker_process_setup_hook": "tests.support.grey.register"},
    )
    yield ray
    ray.shutdown()


@pytest.mark.filterwarnings("ignore")  # of Ray itself, about its own code
def test_a_real_dataset(cluster, made, arrays, tmp_path):
    """Tensors of several shapes in an actor; what it paid for, nobody pays for again."""
    from faithful_decide import Question, decide

    images = [*arrays[:5], np.full((5, 9, 3), 250, np.uint8)]
    dataset = cluster.data.from_items([{"image": i} for i in images], override_num_blocks=1)
    journal = str(tmp_path / "replies.journal")
    decided = dataset.map_batches(
        DecideBatch,
        fn_constructor_kwargs={
            "question": QUESTION,
            "abstain": False,
            "model": "grey/x",
            "journal": journal,
        },
        batch_format="pyarrow",
        compute=cluster.data.ActorPoolStrategy(size=1),
    )
    verdicts = [row["decision"]["verdict"] for row in decided.take_all()]
    assert verdicts == EXPECTED
    question = Question(QUESTION, abstain=False)
    again = [decide(i, question, model="grey/x", journal=journal).verdict for i in images]
    assert again == EXPECTED
    assert sum(backend.calls for backend in made) == 0
