"""Probe the packages in an environment that holds nothing else: imports, chats, documents, videos."""

from __future__ import annotations

import importlib
import importlib.util
import io
import pkgutil
import re
from contextlib import redirect_stderr
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.emulator import Emulator, Reply
from tests.release.archives import PACKAGES
from tests.release.extras import EXTRAS
from tests.release.probes import Probe, is_installed
from tests.support.markdown import read_markdown
from tests.support.paths import ROOT

_SCAN = ROOT / "examples" / "agreement.pdf"
_QUESTION = "What was paid?"
_ANSWER = "18.37"


def find_package_probes() -> list[Probe]:
    """Return the probes of the packages, which need no cassette."""
    return [
        Probe("versions agree", (), _compare_versions),
        Probe("packages are those of the environment", (), _check_locations),
        Probe("all modules are imported", (), _import_all_modules),
        Probe("core: facts and tokens of a model", (), _count_tokens),
        Probe("core: a page and its boxes", (), _parse_answers),
        Probe("core: a chat", (), lambda: _chat("openai")),
        Probe("core: a chat over the native API", ("dashscope",), lambda: _chat("dashscope")),
        Probe("core: pages of a PDF", ("pypdfium2", "PIL"), _open_pages),
        Probe("core: boxes drawn", ("PIL",), _draw_boxes),
        Probe("core: a progress bar", ("tqdm",), _show_progress),
        Probe("core: frames of a video", ("av",), _sample_frames),
        Probe("LangChain: all names", ("langchain_core",), lambda: _read_names("langchain_qwenvl")),
        Probe("LangChain: a chat", ("langchain_core",), lambda: _invoke("openai")),
        Probe("LangChain: the native API", ("langchain_core", "dashscope"), lambda: _invoke("dashscope")),
        Probe("LangChain: pages as images", ("langchain_core", "pypdfium2", "PIL"), _load_pages),
        Probe("LlamaIndex: all names", ("llama_index.core",), lambda: _read_names("llama_index_qwenvl")),
        Probe("LlamaIndex: a chat", ("llama_index.core",), lambda: _complete("openai")),
        Probe("LlamaIndex: the native API", ("llama_index.core", "dashscope"), lambda: _complete("dashscope")),
        Probe("LlamaIndex: pages as images", ("llama_index.core", "pypdfium2", "PIL"), _read_pages),
    ]


def _compare_versions() -> None:
    from importlib.metadata import version

    import qwenvl_core

    installed = version("qwenvl-adapters")
    changelog = re.search(r"^## (\d\S*)", read_markdown("CHANGELOG.md"), re.MULTILINE)
    assert changelog
    assert qwenvl_core.__version__ == installed == changelog[1]


def _check_locations() -> None:
    import qwenvl_core

    assert "site-packages" in Path(qwenvl_core.__file__).parts, qwenvl_core.__file__


def _import_all_modules() -> None:
    """Import every module; what is missing for one must be what an extra installs."""
    optional = {package.partition(".")[0] for package in EXTRAS["all"]}
    for package in PACKAGES:
        spec = importlib.util.find_spec(package)
        assert spec
        for module in pkgutil.walk_packages(spec.submodule_search_locations, f"{package}.", onerror=lambda _: None):
            try:
                importlib.import_module(module.name)
            except ModuleNotFoundError as error:
                missing = (error.name or "").partition(".")[0]
                if missing not in optional or is_installed(missing):
                    raise


def _count_tokens() -> None:
    from qwenvl_core.models import describe
    from qwenvl_core.tokens import image_tokens

    assert describe("qwen3-vl-plus").known
    assert image_tokens(640, 480, "qwen3-vl-plus") == 20 * 15 + 2


def _parse_answers() -> None:
    from qwenvl_core.grounding import parse_grounding
    from qwenvl_core.layout import parse_layout

    assert parse_grounding('[{"bbox_2d": [0, 0, 500, 500], "label": "a"}]')[0].label == "a"
    assert parse_layout('<p data-bbox="0 0 500 500">Total</p>').elements[0].text == "Total"


def _chat(api: Any) -> None:
    from qwenvl_core.client.client import Client
    from qwenvl_core.transport.connection import Connection
    from qwenvl_core.types.messages import Message, TextPart
    from qwenvl_core.types.reply import accumulate
    from qwenvl_core.types.request import Request
    from qwenvl_core.types.settings import ModelSettings

    with Emulator() as server:
        server.script(Reply(text=[_ANSWER]))
        url = server.compat_url if api == "openai" else server.native_url
        client = Client(Connection(base_url=url, api=api, api_key="sk-test"))
        request = Request(messages=(Message("user", (TextPart(_QUESTION),)),), settings=ModelSettings(), stream=True)
        assert accumulate(client.stream(request)).text == _ANSWER
        client.close()


def _open_pages() -> None:
    from qwenvl_core.rendering.open import open_pages

    with open_pages(_SCAN) as pages:
        assert pages.count == 3


def _draw_boxes() -> None:
    from qwenvl_core import grounding

    grounded = grounding.parse_grounding('[{"bbox_2d": [0, 0, 500, 500], "label": "a"}]')
    if is_installed("PIL"):
        from PIL import Image

        picture: Any = Image.new("RGB", (64, 64), "white")
    else:
        picture = None
    assert grounding.draw(picture, grounded).getpixel((0, 0)) != (255, 255, 255)


def _show_progress() -> None:
    from qwenvl_core.documents.progress import report_progress

    with redirect_stderr(io.StringIO()) as output, report_progress(True, 1, "a.pdf") as report:
        report(1, {"total_tokens": 1})
    assert "a.pdf" in output.getvalue()


def _sample_frames() -> None:
    from qwenvl_core.media import sample_frames

    with TemporaryDirectory() as folder:
        file = Path(folder) / "clip.mp4"
        file.write_bytes(_encode_video() if is_installed("av") else b"")
        assert sample_frames(file, fps=5).jpegs[0].startswith(b"\xff\xd8")


def _encode_video() -> bytes:
    """Encode ten grey frames, without Pillow, which `[video]` does not install."""
    av: Any = importlib.import_module("av")
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as output:
        stream = output.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for _ in range(10):
            frame = av.VideoFrame(64, 64, "yuv420p")
            for plane in frame.planes:
                plane.update(b"\x80" * plane.buffer_size)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return file.getvalue()


def _read_names(package: str) -> None:
    module = importlib.import_module(package)
    for name in module.__all__:
        assert getattr(module, name) is not None


def _invoke(api: Any) -> None:
    from langchain_qwenvl import ChatQwenVL

    with Emulator() as server:
        server.script(Reply(text=[_ANSWER]))
        url = server.compat_url if api == "openai" else server.native_url
        assert ChatQwenVL(base_url=url, api=api, api_key="sk-test").invoke(_QUESTION).text == _ANSWER


def _complete(api: Any) -> None:
    from llama_index_qwenvl import QwenVL

    with Emulator() as server:
        server.script(Reply(text=[_ANSWER]))
        url = server.compat_url if api == "openai" else server.native_url
        assert str(QwenVL(base_url=url, api=api, api_key="sk-test").complete(_QUESTION)) == _ANSWER


def _load_pages() -> None:
    from langchain_qwenvl import QwenVLLoader

    with TemporaryDirectory() as folder:
        assert len(QwenVLLoader(_SCAN, mode="image", image_dir=folder).load()) == 3


def _read_pages() -> None:
    from llama_index_qwenvl import QwenVLReader

    with TemporaryDirectory() as folder:
        assert len(QwenVLReader(mode="image", image_dir=folder).load_data(_SCAN)) == 3
