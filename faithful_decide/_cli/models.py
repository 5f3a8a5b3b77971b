"""The command that lists models that run in this process: those in the cache, and three more."""

from __future__ import annotations

import click

from faithful_decide._cli.options import Command
from faithful_decide._cli.terminal import say, table

__all__ = ["models"]


@click.command(cls=Command, short_help="List models that run on this machine.")
def models() -> None:
    """List models that run on this machine.

    These are the embedded one, those in the cache of the Hugging Face hub, and three that fit a
    laptop. Each line begins with what --model takes. Sizes and licences are those that the hub
    states.
    """
    from faithful_decide.backends._llamacpp.hub import SUGGESTED, cached_models  # noqa: PLC0415 - slow
    from faithful_decide.errors import MissingExtraError  # noqa: PLC0415 - the same

    rows = [("embedded", "9 MB, Apache-2.0, comes with the package, knows a toy world only")]
    try:
        cached = cached_models()
    except MissingExtraError as error:
        say(f"note: {error}; {error.hint}")
        cached = []
    rows += [(spec, f"{_size(size)}, cached") for spec, size in cached]
    there = {spec.partition(":")[2].partition(":")[0] for spec, _ in cached}
    rows += [
        (
            model.spec,
            f"{_size(model.megabytes * 10**6)}, {model.licence}, is fetched when first used",
        )
        for model in SUGGESTED
        if model.spec.partition(":")[2] not in there
    ]
    table(rows)


def _size(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 10**9 else f"{size / 1e6:.0f} MB"
