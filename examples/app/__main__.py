"""`make app`: serve the page on this machine.

Live with `DASHSCOPE_API_KEY`, from recordings without. `make app PROVIDER=llama.cpp` starts llama.cpp's own HTTP server
with a tiny model that writes one fixed text. Other variables: PORT, PROVIDER (a name of docs/providers.md), MODEL and
BASE_URL.
"""

import os
import signal
import socket
import sys
import tempfile
import threading
from contextlib import ExitStack
from pathlib import Path

# Before Gradio is imported: no variable of its own may share the page or open folders, and it reports nothing.
for _name in [name for name in os.environ if name.startswith("GRADIO_")]:
    del os.environ[_name]
_folder = tempfile.TemporaryDirectory(prefix="ask-a-scan-")  # of uploads and pictures; removed at the end
os.environ |= {"GRADIO_ANALYTICS_ENABLED": "False", "GRADIO_TEMP_DIR": _folder.name}
for _name in ("NO_PROXY", "no_proxy"):  # the page and servers of this machine are never reached over a proxy
    os.environ[_name] = ",".join(filter(None, (os.environ.get(_name), "127.0.0.1", "localhost")))

import gradio as gr  # noqa: E402
from starlette.middleware import Middleware  # noqa: E402

from examples.app import page, scans  # noqa: E402
from examples.app.connections import Connection, find_base_url, find_model  # noqa: E402
from examples.app.guard import Guard  # noqa: E402
from qwenvl_core.errors import QwenVLError  # noqa: E402
from tests.support import llama_server  # noqa: E402

HOST = "127.0.0.1"
PORT, TRIES = 7860, 20


def main() -> None:
    """Serve the page until Ctrl-C, or a signal to terminate."""
    for number in (signal.SIGINT, signal.SIGTERM):  # SIGINT is ignored in a process that a script starts with "&"
        signal.signal(number, signal.default_int_handler)
    try:
        serve()
    except KeyboardInterrupt:
        print("\nEnded.")


def serve() -> None:
    """Start the page, print its URL and wait."""
    with ExitStack() as stack:
        stack.enter_context(_folder)
        try:
            port = find_port(os.environ.get("PORT") or str(PORT))
            start = choose_connection(stack)
        except (QwenVLError, ValueError, OSError) as error:
            sys.exit(str(error))
        app = page.build_page(start)
        stack.callback(app.close, verbose=False)
        app.launch(
            server_name=HOST, server_port=port, share=False, inbrowser=False, prevent_thread_lock=True, quiet=True,
            allowed_paths=[], max_file_size=scans.MAX_BYTES, enable_monitoring=False, run_history=False,
            mcp_server=False, ssr_mode=False, pwa=False, footer_links=[], state_session_capacity=64,
            app_kwargs={"middleware": [Middleware(Guard)], "openapi_url": None},
            theme=gr.themes.Default(primary_hue="blue", font=["system-ui", "sans-serif"], font_mono=["monospace"]),
            css_paths=Path(__file__).with_name("style.css"),
        )  # fmt: skip
        print(f"Open http://{HOST}:{port} in a browser. Ctrl-C ends it.", flush=True)
        threading.Event().wait()


def choose_connection(stack: ExitStack) -> Connection:
    """Return what the form says at first, from PROVIDER, MODEL and BASE_URL; start llama.cpp's server if it is needed.

    Raises:
        QwenVLError: There is no such provider, or its base URL is invalid.
        ValueError: This machine has no wheel of llama.cpp's server.
    """
    provider, base_url = os.environ.get("PROVIDER") or "model-studio", os.environ.get("BASE_URL") or ""
    usual_url = find_base_url(provider)  # raises if there is no such provider
    if provider == "llama.cpp" and not base_url:
        if not llama_server.is_available():
            raise ValueError(f"{llama_server.REASON}. Pass BASE_URL= of a server of your own.")
        base_url = stack.enter_context(llama_server.serve("hello")).base_url
    return Connection(provider, os.environ.get("MODEL") or find_model(provider), base_url or usual_url)


def find_port(text: str) -> int:
    """Return the port, or the next free one.

    Raises:
        ValueError: It is not a port, or none of the next ports is free.
    """
    if not text.isdecimal() or not 0 < int(text) < 65_536 - TRIES:
        raise ValueError(f"Invalid PORT: {text!r}. Pass a number from 1 to {65_536 - TRIES - 1}.")
    for port in range(int(text), int(text) + TRIES):
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind((HOST, port))
            except OSError:
                continue
        if port != int(text):
            print(f"Port {text} is not free, so the page is at port {port}.")
        return port
    raise ValueError(f"Ports {text} to {int(text) + TRIES - 1} are not free. Pass another PORT=.")


if __name__ == "__main__":
    main()
