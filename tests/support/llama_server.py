"""Serve a tiny Qwen3-VL with llama.cpp's own HTTP server, in a process of its own.

The weights in `tests/data` were made for this project: each model writes one fixed text, token after token. `hello`
thinks and greets, `tool` thinks and calls the tool `get_weather`. Prompts, images and tools are read as with real
weights, so their tokens are counted truly, and tools and JSON are forced by grammar.
"""

from __future__ import annotations

import importlib.util
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

from tests.support.paths import ROOT

DATA = ROOT / "tests" / "data"
SECONDS = 30.0
"""How long a start may take on a busy machine; it takes less than one second otherwise."""
REASON = "llama.cpp's server is in the wheel xllamacpp, which this machine does not have"


def is_available() -> bool:
    """Return whether llama.cpp's server is installed: there is no wheel for some platforms."""
    return importlib.util.find_spec("xllamacpp") is not None


@dataclass(frozen=True, slots=True)
class LlamaServer:
    """A running server.

    Attributes:
        base_url: Base URL of its API.
        process: Its process, which a test may kill.
    """

    base_url: str
    process: subprocess.Popen[str]


@contextmanager
def serve(model: str) -> Iterator[LlamaServer]:
    """Serve a model of `tests/data` on a free port of the loopback."""
    command = [sys.executable, "-m", "tests.support.llama_server", model, str(_find_free_port())]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            yield LlamaServer(f"{_read_address(process.stdout)}/v1", process)
        finally:
            process.kill()


def _find_free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port


def _read_address(output: IO[str]) -> str:
    end = time.monotonic() + SECONDS
    for line in output:
        if line.startswith("listening on "):
            return line.split()[-1]
        if time.monotonic() > end:
            break
    raise RuntimeError("llama.cpp's server did not start")


def main(model: str, port: int) -> None:
    """Serve until the process is killed."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(DATA / f"{model}.gguf")
    params.mmproj.path = str(DATA / "mmproj.gguf")
    params.chat_template = (DATA / "chat_template.jinja").read_text(encoding="utf-8")
    params.hostnames = ["127.0.0.1"]
    params.port = port
    params.n_ctx = 16_384
    params.n_parallel = 2
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.use_jinja = True
    params.warmup = False
    server = xllamacpp.Server(params)
    sys.stdout.write(f"listening on {server.listening_address}\n")
    sys.stdout.flush()
    while True:
        time.sleep(1)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
