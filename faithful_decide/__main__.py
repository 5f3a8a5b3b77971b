"""The entry point. `--version` is answered before anything is loaded; the rest is in `_cli`."""

from __future__ import annotations

import sys

from faithful_decide._version import __version__

__all__ = ["main"]


def main() -> None:
    """Run the command line program and exit with its code."""
    if sys.argv[1:] == ["--version"]:
        print(f"faithful-decide {__version__}")  # noqa: T201 - it minds a stdout that is closed
        return
    # Not above: click takes longer to load than a version number takes to print.
    from faithful_decide._cli.main import FAILED, run  # noqa: PLC0415 - see above

    try:
        code = run()
    except KeyboardInterrupt:
        import os  # noqa: PLC0415 - only here

        if sys.stdout is not None:
            sys.stdout.flush()
        # Not by the usual way out: an engine in the middle of a reply would be waited for.
        os._exit(FAILED)
    sys.exit(code)


if __name__ == "__main__":
    main()
