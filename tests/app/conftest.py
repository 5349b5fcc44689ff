"""Serve the page in a process of its own, and open it in a Chromium of this machine."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.emulator import Emulator
from tests.support.paths import ROOT

SECONDS = 60.0
"""How long a step may take on a busy machine."""
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
COMMAND = """
import runpy, sys
def report(event, args):
    if event == "socket.connect" and isinstance(args[1], tuple) and args[1][0] not in ("127.0.0.1", "::1"):
        print("connects to", args[1], file=sys.stderr)
    if event == "socket.getaddrinfo" and args[0] not in (None, "127.0.0.1", "::1", "localhost"):
        print("looks up", args[0], file=sys.stderr)
sys.addaudithook(report)
runpy.run_module("examples.app", run_name="__main__")
"""
"""Runs the page, and reports connections to other hosts."""
OPEN_EVERYTHING = {"GRADIO_SHARE": "True", "GRADIO_SERVER_NAME": "0.0.0.0", "GRADIO_ALLOWED_PATHS": "/"}
"""Variables of Gradio that must have no effect."""
MISSING = "there is no Chromium on this machine; on Debian: apt-get install chromium"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--screenshots", action="store_true", help="Write the screenshots of docs/app.md.")


@dataclass
class Server:
    """The page's server.

    Attributes:
        url: Where it answers.
        output: File with what it printed.
        process: Its process.
    """

    url: str
    output: Path
    process: subprocess.Popen[bytes]

    def stop(self) -> int:
        """End it as Ctrl-C does, and return its exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(SECONDS)


@contextmanager
def serve(output: Path, **variables: str) -> Iterator[Server]:
    """Serve the page with these environment variables, without any key or provider of this machine."""
    foreign = ("DASHSCOPE_", "GRADIO_", "PROVIDER", "MODEL", "BASE_URL", "PORT")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    command = [sys.executable, "-u", "-c", COMMAND]
    with output.open("ab") as file:
        process = subprocess.Popen(
            command, cwd=ROOT, env={**kept, "PORT": "7960", **variables}, stdout=subprocess.PIPE, stderr=file
        )
    assert process.stdout is not None
    server = Server("", output, process)
    try:
        for line in process.stdout:
            with output.open("ab") as file:
                file.write(line)
            if line.startswith(b"Open "):
                server.url = line.split()[1].decode()
                break
        assert server.url, output.read_text()
        yield server
    finally:
        process.kill() if process.poll() is None and not server.url else server.stop()
        process.stdout.close()


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The page without a key."""
    pytest.importorskip("gradio")
    with serve(tmp_path_factory.mktemp("recorded") / "output.txt", **OPEN_EVERYTHING) as server:
        yield server
        assert not re.search("connects to|looks up", server.output.read_text())


@dataclass
class LiveServer(Server):
    """The page with a key; the emulator answers."""

    emulator: Emulator = field(kw_only=True)


@pytest.fixture(scope="session")
def live_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    pytest.importorskip("gradio")
    output = tmp_path_factory.mktemp("live") / "output.txt"
    with (
        Emulator() as emulator,
        serve(output, DASHSCOPE_API_KEY="sk-environment", DASHSCOPE_BASE_URL=emulator.compat_url) as server,
    ):
        yield LiveServer(server.url, server.output, server.process, emulator=emulator)
        assert not re.search("connects to|looks up", server.output.read_text())


@pytest.fixture
def live(live_server: LiveServer) -> LiveServer:
    """The page with a key, and an emulator without replies."""
    live_server.emulator.reset()
    return live_server


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip(MISSING)
    with playwright.sync_playwright() as driver:
        # Without the sandbox, because tests may run as root; the pages are those of this server.
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def open_pages(browser: Any) -> Iterator[Callable[..., Any]]:
    """Open pages that must log no error and send no request to another host."""
    faults: list[str] = []
    contexts = []

    def note(fault: str, is_fault: bool = True) -> None:
        if is_fault:
            faults.append(fault)

    def close_dialog(dialog: Any) -> None:
        note(f"A script opened a dialog: {dialog.message}")
        dialog.dismiss()

    def open_page(server: Server, *, width: int = 1280, height: int = 800) -> Any:
        context = browser.new_context(viewport={"width": width, "height": height})
        context.set_default_timeout(SECONDS * 1000)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: note(message.text, message.type == "error"))
        page.on("pageerror", lambda error: note(str(error)))
        page.on("dialog", close_dialog)
        page.on("request", lambda request: note(request.url, is_foreign(request.url, server)))
        page.goto(server.url)
        page.get_by_role("button", name="Read agreement.pdf").wait_for()
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert faults == []


@pytest.fixture
def visit(browser: Any) -> Iterator[Callable[..., Any]]:
    with open_pages(browser) as open_page:
        yield open_page


def is_foreign(url: str, server: Server) -> bool:
    """Return whether a request leaves the page's own server."""
    return not url.startswith((f"{server.url}/", "data:", f"blob:{server.url}/"))
