"""Models of the Hugging Face hub: found by their name, fetched once, and checked before they run.

Fetching, the cache, resuming, the progress bar, the token and the offline mode are those of
`huggingface_hub`, with its variables (`HF_HOME`, `HF_TOKEN`, `HF_ENDPOINT`, `HF_HUB_OFFLINE`).
Where the hub can be asked, a name means what it lists now, and only what is not in the cache is
fetched; where it cannot, a name means what is in the cache.

**No half file is used.** A file gets its name in the cache when all of it is there. What it is
called there, and what the hub lists, is a hash of its content; each file is compared with it
before it is loaded, every time.

**Nothing leaves the cache.** The names of files and their hashes are the hub's words, and parts of
paths. Names that lead elsewhere are no files (`choosing`), and a hash is one before it is a path.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from faithful_decide.backends._llamacpp.choosing import HubName, choose
from faithful_decide.errors import (
    AuthError,
    BackendError,
    MissingExtraError,
    StorageError,
    TransientError,
    UsageError,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from faithful_decide.errors import FaithfulDecideError

__all__ = ["SUGGESTED", "Suggested", "cached_models", "fetch_pair"]

_log = logging.getLogger("faithful_decide")
_ANSWER_S = 10.0
_BUSY = frozenset({408, 429, 500, 502, 503, 504})
_HASH = re.compile("[0-9a-f]{64}|[0-9a-f]{40}")
"""How the hub names contents: SHA-256 of large files, and what git calls small ones."""
_AGAIN = "run again; if that does not help, look at what stands between you and the hub"
_checked: set[tuple[object, ...]] = set()


@dataclass(frozen=True, slots=True)
class Suggested:
    """A model that is known to fit a laptop."""

    spec: str
    megabytes: int
    licence: str


SUGGESTED = (
    Suggested("gguf/hf:ggml-org/SmolVLM-500M-Instruct-GGUF", 546, "Apache-2.0"),
    Suggested("gguf/hf:Qwen/Qwen3-VL-2B-Instruct-GGUF", 1552, "Apache-2.0"),
    Suggested("gguf/hf:ggml-org/SmolVLM2-2.2B-Instruct-GGUF", 1705, "Apache-2.0"),
)
"""Sizes are those of both files, as `docs/how-to/run-your-own-gguf.md` says where and when read."""


def fetch_pair(text: str) -> tuple[Path, Path]:
    """The files of the model that a name means: in the cache, whole, and what the hub lists."""
    name = HubName.read(text)
    hub = _hub()
    cached = _cached(hub, name.repo)
    listed = _listed(hub, name.repo, cached)
    if listed is None:
        try:
            pair = choose(name, cached)
        except UsageError as error:
            msg = (
                f"{name.repo} is not complete in the cache, and the hub cannot be reached: {error}"
            )
            raise UsageError(msg, hint=f"run again with the hub in reach; {error.hint}") from None
        paths = [cached[file] for file in (*pair.model, pair.mmproj)]
        for path in paths:
            _check(path, _called(path), fetched=False)
    else:
        pair = choose(name, listed)
        files = (*pair.model, pair.mmproj)
        paths = [_fetched(hub, name.repo, file, listed[file], cached.get(file)) for file in files]
    return paths[0], paths[-1]


def cached_models() -> list[tuple[str, int]]:
    """The models in the cache that have a projector: their specs, and the bytes that they take."""
    models = []
    for repo in sorted(_repositories(_hub()), key=lambda repo: str(repo.repo_id)):
        files = _newest(repo)
        sizes = {file: path.stat().st_size for file, path in files.items() if path.is_file()}
        seen: set[tuple[str, ...]] = set()
        for quant in ("", *(file.rpartition("/")[2] for file in sorted(sizes))):
            try:
                pair = choose(HubName(repo.repo_id, quant), sizes)
            except UsageError:
                continue
            if pair.model not in seen:
                seen.add(pair.model)
                spec = f"gguf/hf:{repo.repo_id}" + (f":{quant}" if quant else "")
                models.append((spec, sum(sizes[file] for file in (*pair.model, pair.mmproj))))
    return models


def _hub() -> Any:  # noqa: ANN401 - optional, so its types may be missing
    try:
        import huggingface_hub  # noqa: PLC0415 - optional, and only here
    except ImportError:
        extra = "hub"
        raise MissingExtraError(extra, needed_for="A model by its name on the hub") from None
    return huggingface_hub


def _listed(hub: Any, repo: str, cached: Mapping[str, Path]) -> dict[str, str] | None:  # noqa: ANN401
    """The files that the hub lists, each with its hash; None where the cache has to do."""
    if cached and hub.is_offline_mode():
        return None
    try:
        info = hub.HfApi().model_info(repo, files_metadata=True, timeout=_ANSWER_S)
    except Exception as error:  # noqa: BLE001 - those of its transport, too
        failure = _told(hub, error, repo)
        if cached and isinstance(failure, (UsageError, TransientError)):
            _log.info("%s; taking what is in the cache", failure)
            return None
        raise failure from None
    files = {
        file.rfilename: str(file.lfs.sha256 if file.lfs else file.blob_id)
        for file in info.siblings or ()
    }
    return {file: digest for file, digest in files.items() if _HASH.fullmatch(digest)}


def _repositories(hub: Any) -> Iterable[Any]:  # noqa: ANN401
    """What is in the cache; nothing where there is no cache yet."""
    try:
        return hub.scan_cache_dir().repos  # type: ignore[no-any-return]
    except hub.CacheNotFound:
        return ()


def _cached(hub: Any, repo: str) -> dict[str, Path]:  # noqa: ANN401
    """The files of a repository that are in the cache."""
    repos = _repositories(hub)
    return next((_newest(r) for r in repos if (r.repo_id, r.repo_type) == (repo, "model")), {})


def _newest(repo: Any) -> dict[str, Path]:  # noqa: ANN401
    """The files of the revision that was fetched last."""
    revisions = sorted(repo.revisions, key=lambda r: ("main" in r.refs, r.last_modified))
    if not revisions or repo.repo_type != "model":
        return {}
    folder = revisions[-1].snapshot_path
    return {f.file_path.relative_to(folder).as_posix(): f.file_path for f in revisions[-1].files}


def _fetched(hub: Any, repo: str, file: str, digest: str, cached: Path | None) -> Path:  # noqa: ANN401
    """A file in the cache, fetched if it is not there."""
    if cached is not None and _called(cached) == digest:
        _check(cached, digest, fetched=False)
        return cached
    try:
        about = hub.get_hf_file_metadata(hub.hf_hub_url(repo, file), timeout=_ANSWER_S)
        if about.etag == digest:
            _log.info("fetching %s of %s, %.0f MB", file, repo, (about.size or 0) / 1e6)
            path = Path(hub.hf_hub_download(repo, file))
    except Exception as error:  # noqa: BLE001 - those of its transport, too
        raise _told(hub, error, repo) from None
    if about.etag != digest:
        msg = f"the hub lists {file} of {repo} under another hash than it gives it out under"
        raise BackendError(msg, hint=_AGAIN)
    _check(path, digest, fetched=True)
    return path


def _called(path: Path) -> str:
    """The hash that a file has as its name in the cache; nothing where it lies there by itself."""
    # One step only: behind it, the cache may keep what several repositories share.
    name = path.readlink().name if path.is_symlink() else ""
    return name if _HASH.fullmatch(name) else ""


def _check(path: Path, digest: str, *, fetched: bool) -> None:
    """Compare a file with its hash, once in a process for as long as the file stays the same."""
    status = path.stat()
    key = (os.path.realpath(path), digest, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    if not digest or key in _checked:
        return
    if _digest(path, status.st_size, digest) == digest:
        _checked.add(key)
        return
    if fetched:
        # What this call brought in, it takes out again: others trust the names in the cache.
        os.unlink(os.path.realpath(path))  # noqa: PTH108 - of the link's target
        path.unlink(missing_ok=True)
        msg = f"{path.name} came from the hub damaged: its content is not what its hash says"
        raise BackendError(msg, hint=_AGAIN)
    msg = f"{path.name} in the cache is damaged: its content is not what its name there says"
    hint = f"delete {os.path.realpath(path)} and {path}, and run again"
    raise BackendError(msg, hint=hint)


def _digest(path: Path, size: int, wanted: str) -> str:
    sha256 = len(wanted) == len(hashlib.sha256().hexdigest())
    state = hashlib.sha256() if sha256 else hashlib.sha1(f"blob {size}\0".encode())  # noqa: S324 - git's
    with path.open("rb", buffering=0) as file:
        room = memoryview(bytearray(2**20))
        while count := file.readinto(room):
            state.update(room[:count])
    return state.hexdigest()


def _told(hub: Any, error: Exception, repo: str) -> FaithfulDecideError:  # noqa: ANN401
    """Say in our words what the library of the hub says in its own."""
    errors, where = hub.errors, hub.constants.ENDPOINT
    log_in = "log in with `hf auth login`, or set HF_TOKEN"
    for kind, ours, msg, hint in (
        (
            errors.GatedRepoError,
            AuthError,
            f"{repo} is given out only to those who accepted its terms",
            f"accept them at {where}/{repo}, then {log_in}",
        ),
        (
            errors.RepositoryNotFoundError,
            UsageError,
            f"there is no repository {repo} on the hub, or it is not public",
            f"check the name; if it is yours, {log_in}",
        ),
        (
            errors.OfflineModeIsEnabled,
            UsageError,
            f"{repo} is not in the cache, and HF_HUB_OFFLINE forbids to fetch it",
            "unset HF_HUB_OFFLINE, or fetch the model where you may",
        ),
        (
            errors.HFValidationError,
            UsageError,
            f"{repo!r} cannot be the name of a repository",
            "write hf:OWNER/REPO, as the hub writes it",
        ),
    ):
        if isinstance(error, kind):
            return ours(msg, hint=hint)
    status = getattr(getattr(error, "response", None), "status_code", None)
    words = " ".join(str(error).split())[:200] or type(error).__name__
    if status in {401, 403}:
        return AuthError(f"the hub refuses to give out {repo} ({status})", hint=log_in)
    if status is not None and status not in _BUSY:
        return BackendError(f"the hub refused {repo}: {words}", hint=_AGAIN)
    if status is None and isinstance(error, OSError) and error.errno is not None:
        msg = f"{repo} cannot be put into the cache: {error.strerror or words}"
        return StorageError(msg, hint="make room, or set HF_HOME to another place")
    hint = "run again when the hub can be reached; what is cached is used without it"
    msg = f"{repo} could not be fetched from {where}: {words}"
    return TransientError(msg, hint=hint, unreachable=status is None)
