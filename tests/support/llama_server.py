"""A real server: llama.cpp's, with the embedded model, on a port of this machine."""

from __future__ import annotations

import secrets
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from faithful_decide.backends._llamacpp.engine import settings

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = Path(str(resources.files("faithful_decide") / "embedded"))


@contextmanager
def llamacpp_server(*, continues: bool = True, bends: bool = False) -> Iterator[tuple[str, str]]:
    """Start it; gives its address and its key.

    Where it is told not to continue, a new message begins after a forced start. Where it bends what
    a model says, it does so as files of models and other servers do, by default.
    """
    import xllamacpp

    params = settings(xllamacpp, reuse=True)
    params.model.path, params.mmproj.path = str(FOLDER / "model.gguf"), str(FOLDER / "mmproj.gguf")
    params.n_ctx, params.n_ubatch, params.n_gpu_layers = 1024, 1, 0
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.n_threads_http = 4
    params.prefill_assistant = continues
    if bends:
        params.sampling.penalty_repeat, params.sampling.penalty_last_n = 1.5, 256
        params.sampling.top_k = 1
    key = secrets.token_urlsafe(16)
    params.api_keys = [key]
    server = xllamacpp.Server(params)
    server.handle_metrics()
    yield f"{server.listening_address}/v1", key
    del server
