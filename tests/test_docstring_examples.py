"""Test that public names have docstrings with an example, and that the examples run and print what their comments say.

An example may use the names of its module, `Path`, and `llm`; the requests go to the emulator.
"""

from __future__ import annotations

import importlib
import inspect
import re
import shutil
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import llama_index_qwenvl
from langchain_qwenvl import ChatQwenVL
from llama_index_qwenvl import QwenVL
from qwenvl_core.transport import batch_calls
from tests.emulator import Emulator, Fault, RecordedRequest, Reply
from tests.support import sample_agreement
from tests.support.paths import ROOT
from tests.support.public_names import PUBLIC_NAMES, PublicName, list_exports
from tests.support.vcr_config import environment
from tests.support.video_files import encode_video

Response = Reply | Fault
_BLOCK = re.compile(r"^[ ]*```python\n(.*?)^[ ]*```", re.MULTILINE | re.DOTALL)
_EXPECTED = re.compile(r"print\(.*\)  # (.*)$")

CUT_STREAM = Fault(reply=Reply(reasoning="Hm.", text=["So", " far"]), close_without_finish=True, after=4)
FAULTS: dict[str, Response] = {
    "QwenVLError": Fault(500),
    "QwenVLAuthenticationError": Fault(401, "InvalidApiKey"),
    "QwenVLPermissionDeniedError": Fault(403, "AccessDenied"),
    "QwenVLArrearageError": Fault(400, "Arrearage"),
    "QwenVLNotFoundError": Fault(404, "NotFound"),
    "QwenVLInvalidRequestError": Fault(400, "InvalidParameter"),
    "QwenVLContentFilterError": Fault(400, "DataInspectionFailed"),
    "QwenVLContextOverflowError": Fault(400, "InvalidParameter", "Range of input length should be [1, 258048]"),
    "QwenVLRateLimitError": Fault(429, "Throttling.RateQuota"),
    "QwenVLQuotaExceededError": Fault(403, "AllocationQuota.FreeTierOnly"),
    "QwenVLTimeoutError": Fault(504, error_format="empty"),
    "QwenVLConnectionError": Fault(reset="before-headers"),
    "QwenVLStreamInterruptedError": CUT_STREAM,
    "QwenVLOutputError": Reply(text="It is not JSON."),
    "QwenVLPageError": Fault(400, "InvalidParameter"),
    "QwenVLAPIError": Fault(500),
}
"""What the emulator answers to the example of an error; that of the others is raised before or by a rule of it."""

REPLIES: dict[str, Callable[[RecordedRequest], Response | None]] = {
    "structured_predict": lambda request: Reply(text='{"amount": 18.37}'),
}
"""What the emulator answers to the example of a method."""

examples = [name for name in PUBLIC_NAMES if not name.is_constant]
each_example = pytest.mark.parametrize("name", examples, ids=lambda name: name.path)


def read_blocks(name: PublicName) -> list[str]:
    """Return the Python blocks of a docstring, which is the object's own and not inherited."""
    docstring = vars(name.value).get("__doc__") if inspect.isclass(name.value) else name.value.__doc__
    return [textwrap.dedent(block) for block in _BLOCK.findall(inspect.cleandoc(docstring or ""))]


def respond(request: RecordedRequest) -> Reply | None:
    """Transcribe the pages of the sample agreement, in any order; leave other requests to the emulator."""
    is_page = "qwenvl html" in request.body.decode() or "qwenvl markdown" in request.body.decode()
    return sample_agreement.PAGES[len(request.body) % len(sample_agreement.PAGES)] if is_page else None


HIDDEN = ("model_post_init", "get_builder", "transcribe", "to_payload", "class_name")
"""Methods of public classes that are LlamaIndex's, pydantic's or the packages' own."""


def list_methods(cls: type) -> dict[str, Callable[..., Any]]:
    """Return the public methods of a class that these packages define or override with a docstring."""
    methods: dict[str, Callable[..., Any]] = {}
    for base in cls.__mro__:
        if base.__module__.startswith(("langchain_qwenvl", "llama_index_qwenvl", "qwenvl_core")):
            members = {name: getattr(member, "__func__", member) for name, member in list(vars(base).items())}
            methods |= {
                name: inspect.unwrap(member)
                for name, member in members.items()
                if inspect.isfunction(member) and member.__doc__ and not name.startswith("_")
                and name not in methods and name not in HIDDEN
            }  # fmt: skip
    return methods


classes = [
    name
    for name in PUBLIC_NAMES
    if name.module in ("langchain_qwenvl", "llama_index_qwenvl") and inspect.isclass(name.value) and not name.is_error
]
method_examples = [
    (name, method)
    for name in classes
    for method, function in list_methods(name.value).items()
    if _BLOCK.search(function.__doc__ or "")
]


def find_gaps(function: Callable[..., Any]) -> list[str]:
    """Return the parameters, and "Returns", that a docstring does not describe; it may refer to another with "see"."""
    docstring = inspect.cleandoc(function.__doc__ or "")
    if re.search("see `", docstring):
        return []
    signature = inspect.signature(function)
    parameters = [name for name in signature.parameters if name not in ("self", "cls")]
    if "_self" in parameters:  # the wrapper of LlamaIndex's callbacks
        parameters = ["kwargs"]
    gaps = [name for name in parameters if not re.search(rf"^    {name}: .", docstring, re.MULTILINE)]
    if signature.return_annotation not in (None, "None") and not re.search(
        "^(Returns|Yields):$", docstring, re.MULTILINE
    ):
        gaps.append("Returns")
    return gaps


def build_namespace(name: PublicName) -> dict[str, Any]:
    """Return the names that an example may use without importing them."""
    module = importlib.import_module(name.module)
    names = {export: getattr(module, export) for export in list_exports(name.module)}
    if name.module == "qwenvl_core.errors":
        names |= {export: getattr(llama_index_qwenvl, export) for export in ("QwenVL", "QwenVLReader")}
    llm: type[Any] | None = ChatQwenVL if name.page == "langchain_qwenvl" else None
    llm = QwenVL if name.page == "llama_index_qwenvl" or name.module == "qwenvl_core.errors" else llm
    return {**names, "Path": Path, **({"llm": llm(api_key="sk-example")} if llm else {})}


def run_block(code: str, file: str, namespace: dict[str, Any]) -> list[tuple[str, str | None]]:
    """Run a block; return what each `print` wrote, and what the comment behind it says (`None` for no comment)."""
    lines, printed = code.splitlines(), []

    def record(*values: object) -> None:
        expected = _EXPECTED.search(lines[sys._getframe(1).f_lineno - 1])
        printed.append((" ".join(map(str, values)), expected[1] if expected else None))

    exec(compile(code, file, "exec", dont_inherit=True), {**namespace, "print": record})
    return printed


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with the files that the examples name."""
    for name in ("receipt.png", "agreement.pdf"):
        shutil.copy(ROOT / "examples" / name, tmp_path)
    (tmp_path / "clip.mp4").write_bytes(encode_video(frames=30, fps=10, size=(640, 360)))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(batch_calls, "_FIRST_PAUSE", 0.01)  # between two looks at a batch
    return tmp_path


@each_example
def test_public_name_has_docstring_with_one_example(name: PublicName) -> None:
    assert len(read_blocks(name)) == 1
    assert "Example:\n" in name.value.__doc__


@each_example
def test_example_runs_and_prints_what_its_comments_say(
    name: PublicName, folder: Path, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qwenvl_core.transport.retry._FIRST_DELAY", 0.0)
    fault = FAULTS.get(name.name) if name.is_error else None
    emulator.respond = (lambda request: fault) if fault else respond
    variables = {"DASHSCOPE_API_KEY": "sk-example", "DASHSCOPE_BASE_URL": emulator.compat_url}
    before = set(folder.rglob("*"))
    with environment(**variables):
        namespace = build_namespace(name)
    with environment(**({} if name.name == "QwenVLMissingKeyError" else variables)):
        printed = run_block(read_blocks(name)[0], name.path, namespace)
    assert printed or set(folder.rglob("*")) > before, "it shows nothing"
    assert [(actual, expected) for actual, expected in printed if expected not in (None, actual)] == []


@pytest.mark.parametrize("name", classes, ids=lambda name: name.path)
def test_methods_describe_their_arguments_and_results(name: PublicName) -> None:
    gaps = {method: find_gaps(function) for method, function in list_methods(name.value).items()}
    assert {method: missing for method, missing in gaps.items() if missing} == {}


@pytest.mark.parametrize(("name", "method"), method_examples, ids=lambda value: getattr(value, "path", value))
def test_example_of_method_runs(
    name: PublicName, method: str, folder: Path, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    emulator.respond = REPLIES.get(method, respond)
    variables = {"DASHSCOPE_API_KEY": "sk-example", "DASHSCOPE_BASE_URL": emulator.compat_url}
    docstring = inspect.cleandoc(list_methods(name.value)[method].__doc__ or "")
    with environment(**variables):
        (block,) = _BLOCK.findall(docstring)
        printed = run_block(textwrap.dedent(block), f"{name.path}.{method}", build_namespace(name))
    assert printed, "it shows nothing"
    assert [(actual, expected) for actual, expected in printed if expected not in (None, actual)] == []


@pytest.mark.parametrize("name", PUBLIC_NAMES, ids=lambda name: name.path)
def test_public_name_is_in_the_reference(name: PublicName) -> None:
    page = (ROOT / "docs" / "reference" / f"{name.page}.md").read_text(encoding="utf-8")
    assert re.search(rf"^::: ({re.escape(name.path)}|{re.escape(name.module)})$", page, re.MULTILINE)


def test_every_error_with_a_fault_is_public() -> None:
    assert FAULTS.keys() <= {name.name for name in PUBLIC_NAMES if name.is_error}


def test_run_block_compares_prints_with_their_comments() -> None:
    code = "for number in (1, 2):\n    print(number)  # 1\nprint('x')\n"
    assert run_block(code, "<test>", {}) == [("1", "1"), ("2", "1"), ("x", None)]
