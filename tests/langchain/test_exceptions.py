"""Exceptions: each is an error of the core and one of langchain-core, with all facts of the failure."""

from __future__ import annotations

import inspect
import pickle
from typing import Any

import langchain_core.exceptions as lc
import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.rate_limiters import InMemoryRateLimiter

import langchain_qwenvl
from langchain_qwenvl import ChatQwenVL, exceptions
from qwenvl_core import errors as core
from tests.emulator import Emulator, Fault, Reply
from tests.langchain.conftest import KEY, Make

PARTIAL_REPLY = Reply(reasoning="Hm.", text=["So", " far"])
# The fault, the core's class, langchain-core's class, and whether a retry may help.
KINDS: dict[str, tuple[Fault, type[core.QwenVLError], type[Exception], bool]] = {
    "key": (Fault(401, "InvalidApiKey"), core.QwenVLAuthenticationError, lc.ModelAuthenticationError, False),
    "permission": (Fault(403, "AccessDenied"), core.QwenVLPermissionDeniedError, lc.ModelPermissionDeniedError, False),
    "arrears": (Fault(400, "Arrearage"), core.QwenVLArrearageError, lc.ModelPermissionDeniedError, False),
    "model": (Fault(404, "ModelNotFound"), core.QwenVLModelNotFoundError, lc.ModelNotFoundError, False),
    "address": (Fault(404, "NotFound"), core.QwenVLNotFoundError, lc.ModelNotFoundError, False),
    "request": (Fault(400, "InvalidParameter"), core.QwenVLInvalidRequestError, lc.ModelInvalidRequestError, False),
    "inspection": (
        Fault(400, "DataInspectionFailed"), core.QwenVLContentFilterError, lc.ModelInvalidRequestError, False),
    "context": (
        Fault(400, "InvalidParameter", "Range of input length should be [1, 258048]"),
        core.QwenVLContextOverflowError, lc.ContextOverflowError, False),
    "vLLM's context": (
        Fault(400, message="This model's maximum context length is 8192 tokens."),
        core.QwenVLContextOverflowError, lc.ContextOverflowError, False),
    "throttled": (Fault(429, "Throttling.RateQuota"), core.QwenVLRateLimitError, lc.ModelRateLimitError, True),
    "quota": (Fault(403, "AllocationQuota.FreeTierOnly"), core.QwenVLQuotaExceededError, lc.ModelRateLimitError, False),
    "server": (Fault(500), core.QwenVLAPIError, lc.ModelAPIError, True),
    "gateway": (Fault(502, error_format="html"), core.QwenVLAPIError, lc.ModelAPIError, True),
    "gateway's timeout": (Fault(504, error_format="empty"), core.QwenVLTimeoutError, lc.ModelTimeoutError, True),
    "one event": (
        Fault(400, "DataInspectionFailed", error_format="data-body"),
        core.QwenVLContentFilterError, lc.ModelInvalidRequestError, False),
    "in the stream": (
        Fault(400, "DataInspectionFailed", error_format="in-stream", reply=PARTIAL_REPLY, after=4),
        core.QwenVLContentFilterError, lc.ModelInvalidRequestError, False),
    "page": (Fault(non_json_200=True), core.QwenVLAPIError, lc.ModelAPIError, True),
    "no finish": (
        Fault(reply=PARTIAL_REPLY, close_without_finish=True, after=4),
        core.QwenVLStreamInterruptedError, lc.ModelConnectionError, True),
    "broken JSON": (
        Fault(reply=PARTIAL_REPLY, truncate_json=True, after=4),
        core.QwenVLStreamInterruptedError, lc.ModelConnectionError, True),
    "reset": (
        Fault(reply=PARTIAL_REPLY, reset="after-events", after=4),
        core.QwenVLStreamInterruptedError, lc.ModelConnectionError, True),
    "hung up": (Fault(reset="before-headers"), core.QwenVLConnectionError, lc.ModelConnectionError, True),
}  # fmt: skip
FAILS_IN_STREAM = ("in the stream", "no finish", "broken JSON", "reset")


async def ainvoke(llm: ChatQwenVL) -> Any:
    try:
        return await llm.ainvoke("Hi")
    finally:
        await llm.aclose()


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("how", ["invoke", "stream", "ainvoke"])
async def test_failure_raises_core_and_langchain_class(name: str, how: str, make: Make, emulator: Emulator) -> None:
    fault, core_class, langchain_class, is_retryable = KINDS[name]
    emulator.script(fault)
    llm = make(max_retries=0)
    with pytest.raises(core_class) as raised:
        _ = llm.invoke("Hi") if how == "invoke" else list(llm.stream("Hi")) if how == "stream" else await ainvoke(llm)
    error: Any = raised.value
    assert isinstance(error, langchain_class)
    assert isinstance(error, core.QwenVLError)
    assert isinstance(error, getattr(langchain_qwenvl, core_class.__name__))
    assert error.is_retryable is error.retryable is is_retryable
    assert type(error).__name__ == core_class.__name__
    assert error.partial == ("So" if name in FAILS_IN_STREAM else "")
    if fault.reset != "before-headers":
        assert error.request_id == "00000000-0000-9000-8000-000000000001"
        assert str(error.request_id) in str(error)
    if fault.status and fault.error_format not in ("in-stream",):
        assert error.status_code == fault.status
        assert error.__cause__ is not None
        assert type(error.__cause__).__module__.startswith("openai")
    if error.hint:
        assert error.hint in str(error)


def test_error_holds_the_servers_facts(make: Make, emulator: Emulator) -> None:
    emulator.script(Fault(401, "InvalidApiKey", "Incorrect API key provided."))
    with pytest.raises(core.QwenVLAuthenticationError) as raised:
        make().invoke("Hi")
    error = raised.value
    assert error.message == "Incorrect API key provided."
    assert (error.code, error.status_code) == ("invalid_api_key", 401)
    assert "region" in error.hint
    assert error.hint in str(error)
    assert KEY not in str(error)


def subclasses(cls: type[core.QwenVLError]) -> list[type[core.QwenVLError]]:
    """Return a class of the core and its subclasses there."""
    children = [child for child in cls.__subclasses__() if child.__module__ == core.__name__]
    return [cls, *(leaf for child in children for leaf in subclasses(child))]


def test_every_core_error_has_a_langchain_class_except_two() -> None:
    """A new class of the core needs a class here, or a reason why it has none."""
    # The base; an error of the loaders.
    exceptional = {core.QwenVLError, core.QwenVLPageError}
    assert set(subclasses(core.QwenVLError)) - set(exceptions._BY_CORE_CLASS) == exceptional


CLASSES = list(exceptions._BY_CORE_CLASS.items())
per_class = pytest.mark.parametrize(("core_class", "cls"), CLASSES, ids=[cls.__name__ for cls, _ in CLASSES])


@per_class
def test_class_is_written_out_and_exported(core_class: type[core.QwenVLError], cls: Any) -> None:
    """Editors, `inspect` and type checkers read the source, so the classes must be in it."""
    assert inspect.getsource(cls).startswith(f"class {core_class.__name__}(")
    assert inspect.getdoc(cls) != inspect.getdoc(core_class)
    assert getattr(langchain_qwenvl, cls.__name__) is cls
    assert cls.__name__ in langchain_qwenvl.__all__
    assert cls.__name__ in dir(langchain_qwenvl)


@per_class
def test_class_has_the_cores_tree_and_retryability(core_class: type[core.QwenVLError], cls: Any) -> None:
    assert issubclass(cls, core_class)
    assert issubclass(cls, lc.ModelError | lc.OutputParserException)
    assert cls.is_retryable is cls.retryable is core_class.retryable
    assert cls.hint == core_class.hint
    for other, other_cls in CLASSES:
        # Handlers of ModelInvalidRequestError must not catch an overflow before those of ContextOverflowError.
        is_overflow = cls is langchain_qwenvl.QwenVLContextOverflowError
        is_separate = is_overflow and other is core.QwenVLInvalidRequestError
        assert issubclass(cls, other_cls) is (issubclass(core_class, other) and not is_separate)


def test_context_overflow_is_no_invalid_request_of_langchain() -> None:
    assert issubclass(langchain_qwenvl.QwenVLContextOverflowError, lc.ContextOverflowError)
    assert not issubclass(langchain_qwenvl.QwenVLContextOverflowError, lc.ModelInvalidRequestError)


def test_input_overflow_is_an_input_error_and_a_context_overflow() -> None:
    cls = langchain_qwenvl.QwenVLInputOverflowError
    assert issubclass(cls, lc.ContextOverflowError)
    assert issubclass(cls, langchain_qwenvl.QwenVLInputError)
    assert issubclass(cls, langchain_qwenvl.QwenVLInvalidRequestError)
    assert issubclass(cls, lc.ModelInvalidRequestError)
    assert issubclass(cls, ValueError)


def test_core_error_is_exported() -> None:
    assert langchain_qwenvl.QwenVLError is core.QwenVLError


def test_exported_class_catches_rate_limit_and_its_subclass(make: Make, emulator: Emulator) -> None:
    llm = make(max_retries=0)
    for name in ("throttled", "quota"):
        emulator.script(KINDS[name][0])
        with pytest.raises(langchain_qwenvl.QwenVLRateLimitError):
            llm.invoke("Hi")


@per_class
def test_error_survives_pickling(core_class: type[core.QwenVLError], cls: Any) -> None:
    with pytest.raises(core.QwenVLError) as raised, exceptions.map_core_errors():
        raise core_class("Broken.", code="C", status_code=400, request_id="r", partial="So", hint="Mend it.")
    error = raised.value
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error) is cls
    assert str(again) == str(error)
    assert (again.code, again.status_code, again.request_id, again.partial) == ("C", 400, "r", "So")


def test_map_core_errors_keeps_the_cause() -> None:
    cause = OSError("broken")
    with pytest.raises(lc.ModelConnectionError) as raised, exceptions.map_core_errors():
        raise core.QwenVLConnectionError("Can't reach it.") from cause
    assert raised.value.__cause__ is cause


def test_map_core_errors_foreign_exception_passes() -> None:
    with pytest.raises(KeyError), exceptions.map_core_errors():
        raise KeyError("x")


class TestRetries:
    def test_server_error_is_retried_twice(self, llm: ChatQwenVL, emulator: Emulator, quick: None) -> None:
        emulator.script(*[Fault(500)] * 5)
        with pytest.raises(lc.ModelAPIError):
            llm.invoke("Hi")
        assert len(emulator.requests) == 3

    def test_retry_after_header_is_obeyed(self, llm: ChatQwenVL, emulator: Emulator) -> None:
        emulator.script(Fault(429, "Throttling.RateQuota", headers={"Retry-After": "0.05"}), Reply(text="Hi."))
        assert llm.invoke("Hi").content == "Hi."
        assert len(emulator.requests) == 2

    @pytest.mark.parametrize("name", ["key", "permission", "request", "inspection", "context", "model"])
    def test_permanent_error_is_not_retried(self, name: str, llm: ChatQwenVL, emulator: Emulator) -> None:
        emulator.script(KINDS[name][0])
        with pytest.raises(core.QwenVLError):
            llm.invoke("Hi")
        assert len(emulator.requests) == 1

    def test_started_stream_is_not_retried(self, llm: ChatQwenVL, emulator: Emulator) -> None:
        emulator.script(KINDS["reset"][0])
        with pytest.raises(lc.ModelConnectionError):
            llm.invoke("Hi")
        assert len(emulator.requests) == 1

    @pytest.fixture
    def quick(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Remove the delays between retries."""
        import openai._base_client as sdk

        monkeypatch.setattr(sdk, "INITIAL_RETRY_DELAY", 0.001)
        monkeypatch.setattr(sdk, "MAX_RETRY_DELAY", 0.001)


class TestLangChainFeatures:
    async def test_with_retry_repeats_the_call(self, make: Make, emulator: Emulator) -> None:
        llm = make(max_retries=0)
        emulator.script(Fault(500), Reply(text="Hi."), Fault(500), Reply(text="Hi."))
        retrying = llm.with_retry(retry_if_exception_type=(lc.ModelAPIError,), wait_exponential_jitter=False)
        assert retrying.invoke("Hi").content == "Hi."
        assert (await retrying.ainvoke("Hi")).content == "Hi."
        await llm.aclose()

    @pytest.mark.parametrize("kind", [lc.ContextOverflowError, core.QwenVLContextOverflowError, Exception])
    def test_with_fallbacks_context_overflow_uses_other_model(
        self, kind: type[Exception], make: Make, emulator: Emulator, body: Any
    ) -> None:
        llm = make().with_fallbacks([make(model="qwen3.5-plus")], exceptions_to_handle=(kind,))
        emulator.script(KINDS["context"][0], Reply(text="Hi."))
        assert llm.invoke("Hi").content == "Hi."
        assert body()["model"] == "qwen3.5-plus"
        emulator.script(KINDS["context"][0], Reply(text="Hi."))
        assert "".join(chunk.text for chunk in llm.stream("Hi")) == "Hi."

    async def test_rate_limiter_waits_once_per_request(self, make: Make) -> None:
        class Counting(InMemoryRateLimiter):
            waits = 0

            def acquire(self, *, blocking: bool = True) -> bool:
                self.waits += 1
                return super().acquire(blocking=blocking)

            async def aacquire(self, *, blocking: bool = True) -> bool:
                self.waits += 1
                return await super().aacquire(blocking=blocking)

        limiter = Counting(requests_per_second=1000, check_every_n_seconds=0.001)
        llm = make(rate_limiter=limiter)
        llm.invoke("Hi")
        list(llm.stream("Hi"))
        await llm.ainvoke("Hi")
        await llm.aclose()
        assert limiter.waits == 3

    @pytest.mark.parametrize("api", ["openai", "dashscope"])
    async def test_with_fallbacks_stream_falls_back_before_first_chunk_only(
        self, api: Any, make: Make, emulator: Emulator
    ) -> None:
        """Another model takes over before the first chunk; a started stream is not repeated."""
        url = emulator.compat_url if api == "openai" else emulator.native_url
        first, other = (make(api=api, base_url=url, max_retries=0, model=name) for name in ("qwen3-vl-plus", "qvq-max"))
        llm = first.with_fallbacks([other])
        for error_format in ("json", "in-stream"):
            fault, reply = Fault(429, "Throttling.RateQuota", error_format=error_format), Reply(text="Hi.")
            emulator.script(fault, reply, fault, reply)
            assert "".join(chunk.text for chunk in llm.stream("Hi")) == "Hi."
            assert "".join([chunk.text async for chunk in llm.astream("Hi")]) == "Hi."
        started = Fault(reply=Reply(text=["So", " far", "."]), reset="after-events", after=2)
        emulator.script(started, started)
        sent = len(emulator.requests)
        with pytest.raises(lc.ModelConnectionError):
            list(llm.stream("Hi"))
        with pytest.raises(lc.ModelConnectionError):
            _ = [chunk async for chunk in llm.astream("Hi")]
        assert len(emulator.requests) == sent + 2
        await first.aclose()
        await other.aclose()

    async def test_cache_does_not_store_failures(self, make: Make, emulator: Emulator) -> None:
        llm = make(cache=InMemoryCache(), max_retries=0)
        emulator.script(Fault(500), Reply(text="Hi."))
        with pytest.raises(lc.ModelAPIError):
            llm.invoke("Hi")
        assert llm.invoke("Hi").content == (await llm.ainvoke("Hi")).content == "Hi."
        assert len(emulator.requests) == 2
