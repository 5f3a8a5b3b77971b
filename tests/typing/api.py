"""What a type checker has to find out about the public surface. Never run, only checked."""

from collections.abc import Iterator
from pathlib import Path
from typing import assert_type

from faithful_decide import (
    Decider,
    Decision,
    Question,
    Row,
    Scores,
    adecide,
    decide,
    load_backend,
    verify_stored,
)
from faithful_decide.backends import Backend, Reply
from faithful_decide.daft import decide_udf
from faithful_decide.errors import FaithfulDecideError, ReplyError
from faithful_decide.pipelines import VerdictPipeline, as_pipeline
from faithful_decide.ray import DecideBatch
from faithful_decide.sklearn import VerdictClassifier
from faithful_decide.testing import ScriptedBackend


async def check(path: Path, error: ReplyError) -> None:
    """Use every public function once, with what it is documented to accept."""
    decision = decide(path, "Is there a dog?", verdicts=["yes", "no"], samples=3, seed=1)
    assert_type(decision, Decision)
    assert_type(decision.verdict, str)
    assert_type(decision.scores, Scores | None)
    assert_type(await adecide(b"", Question("Which?", ("a", "b")), model="embedded"), Decision)
    assert_type(load_backend("embedded", n_threads=1), Backend)
    assert_type(verify_stored(decision.model_dump_json()), Decision)
    assert_type(error.reply, Reply | None)
    async with Decider(ScriptedBackend([]), samples=3, seed=1) as decider:
        assert_type(decider.backend, Backend)
        assert_type(await decider.adecide("image.png", "Is it?"), Decision)
        assert_type(decider.decide_many(["image.png"], "Is it?", concurrency=2), Iterator[Row])
    assert_type(as_pipeline("image-classification", "Is it?", samples=3), VerdictPipeline)
    classifier = VerdictClassifier("Is it?", verdicts={"yes": 1, "no": 0}, options={"n_threads": 1})
    assert_type(classifier.fit([path]), VerdictClassifier)
    assert_type(classifier.decide([path, b""]), list[Decision | FaithfulDecideError])
    assert_type(DecideBatch("Is it?", image="photo", concurrency=8), DecideBatch)
    column = decide_udf(Question("Is it?"), model="vllm/x", base_url="http://gpu/v1", samples=3)
    assert callable(column)
