"""A process that prepares pictures one by one and says of each what it cost and what it let out.

Started by `benchmarks.images`, several at a time; reads lines `PATH`, writes lines of JSON.
"""

from __future__ import annotations

import gc
import json
import os
import re
import resource
import sys
import time
import warnings
from pathlib import Path

from faithful_decide._images.load import load_image
from faithful_decide._images.prepare import ImageLimits, prepare
from faithful_decide.errors import ImageError

LIMITS = (ImageLimits(), ImageLimits(square=128))
ADDRESS_SPACE = 4 * 2**30


def peak_mib() -> float:
    """The most memory of this process since the mark was last put back, in MiB."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int((re.search(r"VmHWM:\s+(\d+)", status) or [0, 0])[1]) / 1024


def judge(path: str) -> str:
    """Prepare a picture as each kind of backend wants it; the name of what came of it."""
    outcome = ""
    for limits in LIMITS:
        try:
            prepare(load_image(path), limits)
            outcome = "prepared"
        except ImageError as error:
            outcome = "refused" if error.hint else "refused without a hint"
        except Exception as error:  # noqa: BLE001 - that is what is looked for
            return f"untyped {type(error).__name__}"
    return outcome


def main() -> None:
    """Judge what is asked for until there is no more."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    log = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1)
    os.dup2(log, 2)
    warnings.simplefilter("always")
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    for line in sys.stdin:
        gc.collect()
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        os.ftruncate(log, 0)
        started = time.process_time()
        outcome = judge(line.rstrip("\n"))
        seconds = time.process_time() - started
        sys.stdout.flush()
        sys.stderr.flush()
        leaked = os.fstat(log).st_size
        answer = {"outcome": outcome, "seconds": seconds, "mib": peak_mib(), "leaked": leaked}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
