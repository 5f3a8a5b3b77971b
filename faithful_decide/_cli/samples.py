"""The command that writes pictures to try the others on."""

from __future__ import annotations

import shlex

import click

from faithful_decide._cli.options import Command
from faithful_decide._cli.terminal import data, say

__all__ = ["samples"]


@click.command(cls=Command, short_help="Write labelled pictures to try the other commands on.")
@click.argument("folder", type=click.Path(), metavar="DIR")
@click.option(
    "--n", type=click.IntRange(1), default=100, show_default=True, help="Write this many pictures."
)
@click.option(
    "--seed", type=int, default=0, show_default=True, help="Make other pictures, or the same again."
)
@click.option("--force", is_flag=True, help="Write into a folder that holds other files too.")
def samples(folder: str, *, n: int, seed: int, force: bool) -> None:
    """Write drawn pictures with labels into DIR: PNG files, and metadata.csv with the labels.

    Half of them show something funny, as the embedded model understands it, such as a cat in a top
    hat. DIR is made if it is not there; earlier samples in it are replaced.

    Example: faithful-decide samples pictures --n 20
    """
    from faithful_decide.embedded.samples import QUESTION, write_samples  # noqa: PLC0415 - slow to load

    data(str(write_samples(folder, n=n, seed=seed, force=force)))
    say(f'next: faithful-decide batch {shlex.quote(folder)} -q "{QUESTION}" --html page.html')
