"""What a batch keeps when it is killed, interrupted, or runs out of room."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import closing, contextmanager
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from PIL import Image

from benchmarks._rows import Options, Row, run
from faithful_decide import Journal, verify_stored
from faithful_decide._batch.export import read_rows
from tests.support.counting import CountingServer

if TYPE_CHECKING:
    from collections.abc import Iterator

CONCURRENCY = 32
QUESTION = "Is it red?"
EXIT_S = 2.0


def images(folder: Path, count: int) -> Path:
    """Small images that all differ."""
    folder.mkdir(parents=True)
    for number in range(count):
        colour = (number % 256, number // 256, 9)
        Image.new("RGB", (8, 8), colour).save(folder / f"{number:05}.png")
    return folder


def command(server: CountingServer, source: Path | str, journal: Path, *more: object) -> list[str]:
    """The command line of a run."""
    asked = ["--model", "openai/faulty", "--base-url", server.address, "-q", QUESTION]
    asked += ["--concurrency", str(CONCURRENCY), "--journal", str(journal), "--timeout", "30"]
    return [sys.executable, "-m", "faithful_decide", "batch", str(source), *asked, *map(str, more)]


class Started:
    """A run, and the rows that it has reported so far."""

    def __init__(self, arguments: list[str], **options: object) -> None:
        """Start it."""
        self.process = subprocess.Popen(  # type: ignore[call-overload] # options of Popen
            arguments,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            **options,
        )
        self.rows: list[str] = []
        self.first = threading.Event()
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        for line in self.process.stdout:
            if line.endswith("\n"):
                self.rows.append(line)
                self.first.set()
        self.first.set()

    def end(self, with_signal: int | None = None) -> tuple[int, str, float]:
        """Wait for its end, after a signal perhaps: exit code, what it said, seconds it took."""
        started = time.perf_counter()
        if with_signal is not None:
            self.process.send_signal(with_signal)
        _, said = "", self.process.stderr.read()
        code = self.process.wait()
        took = time.perf_counter() - started
        self._thread.join()
        self.process.stdout.close()
        self.process.stderr.close()
        return code, said, took


def damage(journal: Path) -> int:
    """Entries that are not intact, and what SQLite finds wrong with the file."""
    with closing(sqlite3.connect(journal)) as db:
        (found,) = db.execute("PRAGMA integrity_check").fetchone()
        (count,) = db.execute("SELECT count(*) FROM replies").fetchone()
    with Journal(journal) as opened:
        intact = list(opened.keys("replies"))
    return int(found != "ok") + count - len(intact) + len(intact) - len(set(intact))


def lost(started: Started, journal: Path) -> int:
    """Rows that were reported although their reply is not in the journal."""
    with Journal(journal) as opened:
        kept = {reply["latency_s"] for _, reply in opened.entries("replies")}
    # A time in nanoseconds tells one reply from another.
    return sum(json.loads(line)["latency_s"] not in kept for line in started.rows)


def killed(options: Options) -> Iterator[Row]:
    """Kill runs at random moments until they have come to their end, again and again."""
    kills, count = (6, 300) if options.quick else (100, 2000)
    rng = Random(options.seed)
    done = again = missing = broken = wrong = twice = runs = worst = 0
    with tempfile.TemporaryDirectory() as name, CountingServer() as server:
        folder = images(Path(name) / "images", count)
        while done < kills:
            runs += 1
            journal, out = Path(name) / f"{runs}.journal", Path(name) / f"{runs}.jsonl"
            server.asked.clear()
            while done < kills:
                before = server.requests
                held = known(journal)
                started = Started(command(server, folder, journal))
                started.first.wait()
                try:
                    started.process.wait(rng.uniform(0, 1.5))
                except subprocess.TimeoutExpired:
                    done += 1
                ended = started.process.poll() is not None
                started.end(signal.SIGKILL if not ended else None)
                missing += lost(started, journal)
                broken += damage(journal)
                worst = max(worst, server.requests - before - (known(journal) - held))
                if ended:
                    break
            subprocess.run(
                command(server, folder, journal, "--out", out), check=True, capture_output=True
            )
            rows = list(read_rows(out))
            twice += len(rows) - len({row.id for row in rows})
            missing += count - len(rows)
            for row in rows:
                wrong += (
                    row.decision is None
                    or verify_stored(row.decision.model_dump_json()) != row.decision
                )
            again += server.requests - count
    what = f"kill -9, {count} rows, {CONCURRENCY} at once"
    yield Row(f"{what}: rows lost", missing, "<=", 0, done)
    yield Row(f"{what}: rows twice", twice, "<=", 0, done)
    yield Row(f"{what}: entries corrupt", broken + wrong, "<=", 0, done)
    yield Row(f"{what}: requests again, most for a kill", worst, "<=", CONCURRENCY, done)
    yield Row(f"{what}: requests again per kill", again / done, "<=", CONCURRENCY, done)


def known(journal: Path) -> int:
    """Replies in a journal."""
    if not journal.exists():
        return 0
    with Journal(journal) as opened:
        return sum(1 for _ in opened.keys("replies"))


def killed_while_exporting(options: Options) -> Iterator[Row]:
    """Kill runs that write a file over an older one, at random moments."""
    kills, count = (4, 100) if options.quick else (20, 400)
    rng = Random(options.seed)
    parts = done = 0
    with tempfile.TemporaryDirectory() as name, CountingServer(0.0) as server:
        folder, journal = images(Path(name) / "images", count), Path(name) / "journal"
        subprocess.run(command(server, folder, journal), check=True, capture_output=True)
        kinds = ("jsonl", "csv", "parquet")
        took = {}
        for kind in kinds:
            out = Path(name) / f"out.{kind}"
            half = command(server, folder, journal, "--out", out, "--limit", count // 2)
            started_at = time.perf_counter()
            subprocess.run(half, check=True, capture_output=True)
            took[kind] = 2 * (time.perf_counter() - started_at)
        while done < kills:
            kind = kinds[done % len(kinds)]
            out = Path(name) / f"out.{kind}"
            limit = count if done % 2 else count // 2
            with subprocess.Popen(
                command(server, folder, journal, "--out", out, "--limit", limit),
                stderr=subprocess.DEVNULL,
            ) as process:
                try:
                    process.wait(rng.uniform(0.2, 1) * took[kind])
                    continue
                except subprocess.TimeoutExpired:
                    process.kill()
            done += 1
            rows = list(read_rows(out))
            whole = len(rows) in {count, count // 2} and all(r.decision for r in rows)
            parts += not whole
    yield Row("kill -9 while exporting: files in part", parts, "<=", 0, done)


@contextmanager
def disk(folder: Path, option: str) -> Iterator[bool]:
    """A disk of memory at a folder, if this user may make one; says whether."""
    folder.mkdir()
    mount = ["/bin/mount", "-t", "tmpfs", "-o", option, "tmpfs", folder]
    made = os.geteuid() == 0 and subprocess.run(mount, check=False).returncode == 0
    try:
        yield made
    finally:
        if made:
            subprocess.run(["/bin/umount", folder], check=True)


def small_files() -> None:
    """What stands for a full disk where none can be made: no file larger than 1 MB."""
    import resource  # noqa: PLC0415 - not on Windows

    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20))


def failures() -> Iterator[Row]:
    """What else happens to files: each a clean error, and nothing that was paid for lost."""
    count = 500
    bad = 0
    with tempfile.TemporaryDirectory() as name, CountingServer() as server:
        top = Path(name)
        folder, keep = images(top / "images", count), top / "kept.journal"
        with disk(top / "disk", "size=1m") as made:
            journal = top / "disk" / "journal"
            limits = {} if made else {"preexec_fn": small_files}
            full = Started(command(server, folder, journal), **limits)
            code, said, _ = full.end()
            bad += unclean(code, said, "cannot be used")
            # Copied to where there is room, with what belongs to it.
            for file in journal.parent.glob("journal*"):
                (top / file.name.replace("journal", "kept.journal")).write_bytes(file.read_bytes())
        missing = lost(full, keep)
        paid = server.requests
        bad += known(keep) == 0
        rest = subprocess.run(command(server, folder, keep), capture_output=True, check=False)
        bad += rest.returncode != 0
        yield Row("full disk: errors that are not clean", bad, "<=", 0, 1)
        yield Row("full disk: rows lost", missing, "<=", 0, count)
        again = server.requests - count
        yield Row("full disk: requests again", again, "<=", CONCURRENCY, paid)
        yield Row(
            "read-only folder: errors that are not clean", read_only(server, folder), "<=", 0, 1
        )
        yield from images_change(server, folder, keep)
        many = 4 * count  # a second run takes seconds to start where the machine is busy
        first = Started(command(server, images(top / "more", many), keep))
        first.first.wait()
        second = Started(command(server, top / "more", keep))
        code, said, _ = second.end()
        yield Row(
            "second run on one journal: errors that are not clean",
            unclean(code, said, "another run"),
            "<=",
            0,
            1,
        )
        code, _, _ = first.end()
        yield Row(
            "second run on one journal: rows the first lost",
            many - len(first.rows),
            "<=",
            0,
            many,
        )


def unclean(code: int, said: str, expected: str) -> int:
    """Whether a run ended in another way than with its error and what to do."""
    return int(code == 0 or "Traceback" in said or expected not in said or "hint:" not in said)


def read_only(server: CountingServer, folder: Path) -> int:
    """Run with a journal where nobody may write."""
    with tempfile.TemporaryDirectory() as name, disk(Path(name) / "disk", "ro") as made:
        if not made:
            (Path(name) / "disk").chmod(0o555)
        code, said, _ = Started(command(server, folder, Path(name) / "disk" / "journal")).end()
        return unclean(code, said, "cannot be used")


def images_change(server: CountingServer, folder: Path, journal: Path) -> Iterator[Row]:
    """Take one image away and change another between two runs."""
    names = sorted(folder.iterdir())
    listed = folder.parent / "list.jsonl"
    listed.write_text("".join(json.dumps({"image": str(path)}) + "\n" for path in names))
    names[0].unlink()
    Image.new("RGB", (8, 8), (1, 2, 3)).save(names[1])
    before = server.requests
    started = Started(command(server, listed, journal))
    started.end()
    rows = [json.loads(line) for line in started.rows]
    named = rows[0]["error"] == "ImageError" and rows[0]["verdict"] is None and rows[0]["hint"]
    wrong = int(not named) + sum(row["status"] != "decided" for row in rows[1:])
    yield Row("vanished image: rows that are not as they should be", wrong, "<=", 0, len(rows))
    yield Row("changed image: requests", server.requests - before, "<=", 1, len(rows))


def interrupted(options: Options) -> Iterator[Row]:
    """Press Ctrl-C."""
    times = 3 if options.quick else 20
    # A program that was started in the background ignores it, and so would those it starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    rng = Random(options.seed)
    took, missing, silent = [], 0, 0
    with tempfile.TemporaryDirectory() as name, CountingServer(0.5) as server:
        folder = images(Path(name) / "images", 2000)
        for number in range(times):
            journal = Path(name) / f"{number}.journal"
            arguments = command(server, folder, journal)
            if number % 3 == 1:
                arguments[arguments.index("openai/faulty")] = "embedded"
                at = arguments.index("--base-url")
                del arguments[at : at + 2]
            started = Started(arguments)
            started.first.wait()
            time.sleep(rng.uniform(0, 1))
            _, said, seconds = started.end(signal.SIGINT)
            took.append(seconds)
            missing += lost(started, journal)
            silent += "run the same command again" not in said or "Traceback" in said
    yield Row("Ctrl-C: seconds to the end, longest", max(took), "<=", EXIT_S, times)
    yield Row("Ctrl-C: finished rows that were lost", missing, "<=", 0, times)
    yield Row("Ctrl-C: ends that do not say how to go on", silent, "<=", 0, times)


WORKER = """
import os, sys, threading
from faithful_decide import FaithfulDecideError, Journal
from faithful_decide.backends import Reply

def work(thread):
    for number in range(int(sys.argv[3])):
        key = f"{sys.argv[2]}/{thread}/{number:03}"
        try:
            with Journal(sys.argv[1]) as journal:
                journal.remember(key.encode(), Reply("x" * 500, "stop"))
        except FaithfulDecideError as error:
            key = f"{type(error).__name__}: {error}".replace(chr(10), " ")
        os.write(1, f"{key}\\n".encode())

threads = [threading.Thread(target=work, args=(number,)) for number in range(int(sys.argv[4]))]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""
"""What a worker of a web service does: each call opens the journal, in any of its threads."""
PROCESSES, WORKER_THREADS, CALLS = 3, 4, 40


def shared(options: Options) -> Iterator[Row]:
    """Write from several threads of several processes, and kill some of them."""
    times = 4 if options.quick else 20
    rng = Random(options.seed)
    missing = errors = acknowledged = broken = kills = 0
    with tempfile.TemporaryDirectory() as name:
        for number in range(times):
            path = Path(name) / f"{number}.journal"
            workers = [
                Started(
                    [
                        *(sys.executable, "-c", WORKER, str(path), str(process)),
                        *(str(CALLS), str(WORKER_THREADS)),
                    ]
                )
                for process in range(PROCESSES)
            ]
            victims = workers[: rng.randint(1, PROCESSES)] if number % 2 else []
            for victim in victims:
                victim.first.wait()
                time.sleep(rng.uniform(0, 0.3))
                kills += victim.process.poll() is None
                victim.process.kill()
            for worker in workers:
                _, said, _ = worker.end()
                errors += bool(said)
            lines = [line.strip() for worker in workers for line in worker.rows]
            keys = {line.encode() for line in lines if re.fullmatch(r"\d/\d/\d{3}", line)}
            errors += len(lines) - len(keys)
            acknowledged += len(keys)
            broken += damage(path)
            with Journal(path) as opened:
                missing += len(keys - set(opened.keys("replies")))
    what = f"{PROCESSES} processes, {WORKER_THREADS} threads, {kills} killed"
    yield Row(f"{what}: acknowledged replies lost", missing, "<=", 0, acknowledged)
    yield Row(f"{what}: errors", errors, "<=", 0, acknowledged)
    yield Row(f"{what}: entries corrupt", broken, "<=", 0, acknowledged)


def journal(options: Options) -> Iterator[Row]:
    """Share, kill, fill, forbid, change, interrupt."""
    yield from shared(options)
    yield from interrupted(options)
    yield from failures()
    yield from killed_while_exporting(options)
    yield from killed(options)


if __name__ == "__main__":
    run(journal)
