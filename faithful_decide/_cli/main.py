"""The command line: parse, call the library, print. No logic of its own.

Data goes to stdout, notices and errors to stderr, so that output can be piped. Exit codes: 0 the
question was decided (or the stored decision verified), 1 it was not, 2 the command was used
wrongly, 3 something has to be installed or configured first.
"""

from __future__ import annotations

import os
import sys
from importlib import resources
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from faithful_decide._cli.audit import audit, audit_dataset, print_audit
from faithful_decide._cli.batch import batch, compare
from faithful_decide._cli.terminal import split, visible
from faithful_decide._version import __version__
from faithful_decide.errors import (
    AuthError,
    FaithfulDecideError,
    ImageError,
    MissingExtraError,
    QuestionError,
    ReplyError,
    UnsupportedError,
    UsageError,
)

if TYPE_CHECKING:
    from faithful_decide._core.types import Decision

__all__ = ["main", "run"]

DEMO_QUESTION = "Does this image show anything funny?"
FAILED, USAGE, CONFIGURATION = 1, 2, 3
_CODES: tuple[tuple[type[FaithfulDecideError], int], ...] = (
    (QuestionError, USAGE),
    (ImageError, USAGE),
    (UnsupportedError, CONFIGURATION),
    (MissingExtraError, CONFIGURATION),
    (AuthError, CONFIGURATION),
    (UsageError, USAGE),
)


def run() -> int:
    """Run the program on the arguments of this process.

    Returns:
        The exit code.
    """
    try:
        code = main.main(prog_name="faithful-decide", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        _notice("interrupted")
        return FAILED
    except FaithfulDecideError as error:
        return _report(error)
    except BrokenPipeError:
        # The reader has gone (`| head`). Python would complain once more while exiting.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    return code if isinstance(code, int) else 0


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="%(prog)s %(version)s")
def main() -> None:
    """Ask a vision-language model a closed question about an image.

    The model writes what it sees, then its reasoning, then the verdict. For tab completion, add to
    ~/.bashrc: eval "$(_FAITHFUL_DECIDE_COMPLETE=bash_source faithful-decide)"
    (zsh_source and fish_source likewise).
    """


@main.command()
@click.argument("image", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@click.argument("question")
@click.option("--verdicts", default="yes,no", callback=split, help="Comma-separated; yes,no.")
@click.option("--no-abstain", is_flag=True, help="Do not offer cannot_tell.")
@click.option("--model", metavar="SPEC", help="embedded, openai/NAME, vllm/NAME, gguf/PATH ...")
@click.option("--base-url", metavar="URL", help="Where the server is, if not in its usual place.")
@click.option("--samples", default=1, help="Reason this many times; the majority decides.")
@click.option("--seed", type=int, help="Make samples reproducible.")
@click.option("--max-tokens", default=512, help="The longest reply.")
@click.option("--timeout", default=600.0, help="Seconds for the whole decision.")
@click.option("--json", "as_json", is_flag=True, help="Print the decision as JSON, for `verify`.")
def decide(
    image: str,
    question: str,
    *,
    verdicts: tuple[str, ...],
    no_abstain: bool,
    model: str | None,
    base_url: str | None,
    samples: int,
    seed: int | None,
    max_tokens: int,
    timeout: float,
    as_json: bool,
) -> None:
    """Decide QUESTION about IMAGE (a file, or - for stdin)."""
    from faithful_decide._api.decide import decide as decide_question  # noqa: PLC0415 - slow to load

    decision = decide_question(
        sys.stdin.buffer if image == "-" else image,
        question,
        model=model,
        verdicts=verdicts,
        abstain=not no_abstain,
        samples=samples,
        seed=seed,
        max_tokens=max_tokens,
        timeout=timeout,
        **_where(base_url),
    )
    _print(decision, as_json=as_json)


def _where(base_url: str | None) -> dict[str, Any]:
    return {} if base_url is None else {"base_url": base_url}


@main.command()
@click.option("--html", metavar="FILE", default="audit.html", help="Where to write the report.")
@click.option("--json", "as_json", is_flag=True, help="Print the audit as JSON.")
def demo(*, html: str, as_json: bool) -> None:
    """Decide about a sample image with the model that comes with the package, and audit that.

    The audit forces each verdict and compares the explanations; its report is written to a file.
    """
    from faithful_decide._api.decide import Decider  # noqa: PLC0415 - slow to load

    sample = str(resources.files("faithful_decide") / "embedded" / "sample.png")
    with Decider("embedded") as decider:
        decision = decider.decide(sample, DEMO_QUESTION)
        report = decider.audit(sample, DEMO_QUESTION, tier="full")
    report.to_html(html)
    if as_json:
        click.echo(visible(report.model_dump_json(indent=2), keep="\n"))
    else:
        _print(decision, as_json=False)
        _data("")
        print_audit(report)
    _notice(f"the report is in {html}")


@main.command()
@click.argument("file", type=click.File("rb"))
def verify(file: BinaryIO) -> None:
    """Check a stored decision again, offline (FILE, or - for stdin)."""
    from faithful_decide._api.stored import verify_stored  # noqa: PLC0415 - slow to load

    decision = verify_stored(file.read())
    span = decision.receipt.verdict_span
    _data(f"ok: {decision.verdict} (written last, bytes {span.start}-{span.end})")


@main.command()
@click.argument("spec")
@click.option("--base-url", metavar="URL", help="Where the server is, if not in its usual place.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def probe(spec: str, *, base_url: str | None, as_json: bool) -> None:
    """Find out what the model SPEC and its server really do, with a few small calls."""
    from faithful_decide._api.probe import probe as probe_model  # noqa: PLC0415 - slow to load

    report = probe_model(spec, **_where(base_url))
    if as_json:
        _data(report.model_dump_json())
        return
    for name, check in report.checks.items():
        _data(f"{name:<9}  {check.holds:<8}  {check.seen}")


main.add_command(audit)
main.add_command(audit_dataset)
main.add_command(batch)
main.add_command(compare)


def _print(decision: Decision, *, as_json: bool) -> None:
    if as_json:
        click.echo(visible(decision.model_dump_json(indent=2), keep="\n"))
        return
    receipt = decision.receipt
    rows = [("question", decision.question.text)]
    rows += [("observed", f"{o.about}: {o.seen}") for o in decision.observations]
    rows += [("reasoning", decision.reasoning), ("verdict", decision.verdict)]
    if decision.scores is not None:
        shares = decision.scores.probabilities.items()
        shown = ", ".join(f"{label} {probability:.3f}" for label, probability in shares)
        rows.append(("scores", f"{shown} (from {decision.scores.source})"))
    reason, verdict = receipt.reasoning_span, receipt.verdict_span
    places = f"reasoning {reason.start}-{reason.end}, verdict {verdict.start}-{verdict.end}"
    rows += [
        ("order", f"{receipt.order} ({receipt.enforcement}); bytes: {places}"),
        ("model", f"{receipt.model} on {receipt.backend}"),
        ("request", f"sha256 {receipt.request_sha256}"),
    ]
    for name, text in rows:
        _data(f"{click.style(f'{name:<9}', bold=True)}  {visible(text)}", styled=True)
    for note in receipt.image_notes:
        _notice(f"the image: {note}")
    if receipt.hidden_thinking_tokens != 0:
        _notice("the model may have reasoned out of sight before this reply")


def _data(line: str, *, styled: bool = False) -> None:
    plain = "NO_COLOR" in os.environ or not sys.stdout.isatty()
    click.echo(line if styled else visible(line), color=not plain)


def _notice(text: str) -> None:
    click.echo(f"note: {visible(text)}", err=True)


def _report(error: FaithfulDecideError) -> int:
    click.echo(f"error: {visible(str(error))}", err=True)
    if error.hint:
        click.echo(f"hint: {visible(error.hint)}", err=True)
    if isinstance(error, ReplyError) and error.reply is not None:
        click.echo(f"reply: {visible(error.reply.text)}", err=True)
    return next((code for kind, code in _CODES if isinstance(error, kind)), FAILED)
