"""The commands about one image: `decide`, `demo`, `verify` and `probe`."""

from __future__ import annotations

import sys
from importlib import resources
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from faithful_decide._cli.files import check_written
from faithful_decide._cli.options import (
    Command,
    Sentence,
    arguments,
    asking,
    backend_options,
    in_process,
    of_backend,
    secret,
    with_model,
)
from faithful_decide._cli.terminal import data, document, say, shown, table

if TYPE_CHECKING:
    from faithful_decide._core.types import Decision

__all__ = ["decide", "demo", "probe", "verify"]

DEMO_QUESTION = "Does this image show anything funny?"


@click.command(cls=Command, short_help="Decide about one image.")
@click.argument("images", nargs=-1, required=True, type=click.Path(allow_dash=True))
@click.argument("question", type=Sentence(), is_eager=True)
@with_model
@asking()
@click.option("--json", "as_json", is_flag=True, help="Print the decision as JSON, for `verify`.")
def decide(
    images: tuple[str, ...],
    question: str,
    *,
    model: str | None,
    as_json: bool,
    **how: Any,  # noqa: ANN401 - the options of the table
) -> None:
    """Decide QUESTION about IMAGES (files, - for stdin, or URLs with --allow-urls).

    The question comes last. Several images are shown together, in this order.

    Example: faithful-decide decide part.jpg "Is this part damaged?" --model ollama/NAME
    """
    from faithful_decide._api.decide import decide as decide_question  # noqa: PLC0415 - slow to load

    decision = decide_question(
        _sources(images),
        question,
        model=model,
        **arguments(how),
        **backend_options(model, how),
    )
    if as_json:
        document(decision.model_dump_json(indent=2))
    else:
        _print(decision)


def _sources(images: tuple[str, ...]) -> Any:  # noqa: ANN401 - one or several
    """One image, or a list of several."""
    sources = [sys.stdin.buffer if image == "-" else image for image in images]
    return sources[0] if len(sources) == 1 else sources


@click.command(cls=Command, short_help="Decide about a sample image, and audit it.")
@in_process
@click.option(
    "--html",
    metavar="FILE",
    default="audit.html",
    show_default=True,
    help="Write the report to this file.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the audit as JSON.")
def demo(*, html: str, as_json: bool, **how: Any) -> None:  # noqa: ANN401 - the options of the backend
    """Decide about a sample image with the model that comes with the package, and audit it.

    The audit forces each verdict and compares the explanations; its report is written to a file.
    """
    from faithful_decide._api.decide import Decider  # noqa: PLC0415 - slow to load

    check_written({"html": html}, [])
    sample = str(resources.files("faithful_decide") / "embedded" / "sample.png")
    with Decider("embedded", **backend_options("embedded", how)) as decider:
        decision = decider.decide(sample, DEMO_QUESTION)
        report = decider.audit(sample, DEMO_QUESTION, tier="full")
    if as_json:
        document(report.model_dump_json(indent=2))
    else:
        _print(decision)
        data("")
        shown(report)
    report.to_html(html)
    say(f"note: the report is in {html}")


@click.command(cls=Command, short_help="Check a stored decision again, offline.")
@click.argument("file", type=click.File("rb"))
@click.option(
    "--image",
    "images",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False),
    help="Check that it is about this image. Repeat it for several, in their order.",
)
@click.option("--question", "-q", help="Check that it answers this question.")
@click.option(
    "--hmac-key",
    metavar="SOURCE",
    help="Check its signature with the key in env:NAME or file:PATH.",
)
def verify(
    file: BinaryIO, *, images: tuple[str, ...], question: str | None, hmac_key: str | None
) -> None:
    """Check a stored decision again, offline (FILE, or - for stdin)."""
    from faithful_decide._api.stored import verify_stored  # noqa: PLC0415 - slow to load

    key = None if hmac_key is None else secret("--hmac-key ", hmac_key)
    image = _sources(images) if images else None
    decision = verify_stored(file.read(), image=image, question=question, hmac_key=key)
    span, derived = decision.receipt.verdict_span, decision.derived
    written = decision.verdict if derived is None else derived.model_verdict
    data(f"ok: {written} (written last, bytes {span.start}-{span.end})")
    for what, parts in (("checked", decision.checked), ("not checked", decision.unchecked)):
        for part in parts:
            data(f"{what}: {part}")


@click.command(cls=Command, short_help="Find out what a model and its server really do.")
@click.argument("spec")
@of_backend
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=120.0,
    show_default=True,
    help="Give up on a check after this many seconds.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def probe(spec: str, *, timeout: float, as_json: bool, **how: Any) -> None:  # noqa: ANN401 - the options of the backend
    """Find out what the model SPEC and its server really do, with a few small calls."""
    from faithful_decide._api.probe import probe as probe_model  # noqa: PLC0415 - slow to load

    report = probe_model(spec, timeout=timeout, **backend_options(spec, how))
    if as_json:
        document(report.model_dump_json())
    else:
        table((name, f"{check.holds:<8}  {check.seen}") for name, check in report.checks.items())


def _print(decision: Decision) -> None:
    shown(decision)
    for note in decision.receipt.image_notes:
        say(f"note: the image: {note}")
    for note in decision.receipt.notes:
        say(f"note: {note}")
    if decision.receipt.hidden_thinking_tokens != 0:
        say("note: the model may have used hidden thinking before this reply")
