"""The entry point. `--version` is answered before anything is loaded; the rest is in `cli`."""

from __future__ import annotations

import sys

from faithful_decide._version import __version__

__all__ = ["main"]


def main() -> None:
    """Run the command line program and exit with its code."""
    if sys.argv[1:] == ["--version"]:
        sys.stdout.write(f"faithful-decide {__version__}\n")
        return
    # Not above: click takes longer to load than a version number takes to print.
    from faithful_decide._cli.main import run  # noqa: PLC0415 - see above

    sys.exit(run())


if __name__ == "__main__":
    main()
