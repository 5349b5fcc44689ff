"""`make app`: serve the page on this machine.

Live with `DASHSCOPE_API_KEY`, from recordings without. `make app PROVIDER=llama.cpp` starts llama.cpp's own HTTP server
with a tiny model that writes one fixed text. Other variables: PORT, PROVIDER (a name of docs/providers.md), MODEL and
BASE_URL.
"""

import os
import signal
import sys
import tempfile
from contextlib import ExitStack

from examples.app.connections import Connection, choose_connection
from qwenvl_core.errors import QwenVLError

HOST = "127.0.0.1"
PORTS = 20
"""Number of ports of which the first free one is taken."""


def main() -> None:
    """Serve the page until Ctrl-C, or a signal to terminate."""
    for number in (signal.SIGINT, signal.SIGTERM):  # SIGINT is ignored in a process that a script starts with "&"
        signal.signal(number, signal.default_int_handler)
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="ask-a-scan-"))
        try:
            set_variables(os.environ.get("PORT") or "7860", folder)
            serve(choose_connection(stack))
        except (QwenVLError, ValueError, OSError) as error:
            sys.exit(str(error))


def set_variables(port: str, folder: str) -> None:
    """Set the variables that Gradio reads when it is imported; none of the user's may share the page or open folders.

    Args:
        port: Port to begin with.
        folder: Folder for uploads and pictures.

    Raises:
        ValueError: It is not a port.
    """
    if not port.isdecimal() or len(port) > 5 or not 0 < int(port) <= 65_536 - PORTS:
        raise ValueError(f"Invalid PORT: {port[:20]!r}. Pass a number from 1 to {65_536 - PORTS}.")
    for name in [name for name in os.environ if name.startswith("GRADIO_")]:
        del os.environ[name]
    os.environ |= {"GRADIO_SERVER_PORT": port, "GRADIO_NUM_PORTS": str(PORTS)}
    os.environ |= {"GRADIO_TEMP_DIR": folder, "GRADIO_ANALYTICS_ENABLED": "False"}
    no_proxy = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")  # of this machine, no server is behind a proxy
    os.environ["no_proxy"] = ",".join(filter(None, (no_proxy, "localhost", HOST)))


def serve(start: Connection) -> None:
    """Start the page, print its URL and wait."""
    from starlette.middleware import Middleware

    from examples.app import guard, page, scans

    app = page.build_page(start)
    _, url, _ = app.launch(
        server_name=HOST, share=False, inbrowser=False, prevent_thread_lock=True, quiet=True, allowed_paths=[],
        max_file_size=scans.MAX_BYTES, enable_monitoring=False, run_history=False, mcp_server=False, ssr_mode=False,
        pwa=False, footer_links=[], css=page.CSS, state_session_capacity=64,
        app_kwargs={"middleware": [Middleware(guard.Guard)], "openapi_url": None},
    )  # fmt: skip
    print(f"Open {url.rstrip('/')} in a browser. Ctrl-C ends it.", flush=True)
    app.block_thread()


if __name__ == "__main__":
    main()
