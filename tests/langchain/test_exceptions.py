"""Failures: each is ours and LangChain's kind at once, with all that is known of it."""

from __future__ import annotations

import pickle
from typing import Any

import langchain_core.exceptions as lc
import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.rate_limiters import InMemoryRateLimiter

import langchain_qwenvl.exceptions as ours_and_theirs
from langchain_qwenvl import ChatQwenVL
from qwenvl_core import errors as core
from tests.emulator import Emulator, Fault, Reply
from tests.langchain.conftest import KEY, Make

SO_FAR = Reply(reasoning="Hm.", text=["So", " far"])
# Fault, our class, LangChain's, and whether asking again may help.
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
        Fault(400, "DataInspectionFailed", error_format="in-stream", reply=SO_FAR, after=4),
        core.QwenVLContentFilterError, lc.ModelInvalidRequestError, False),
    "page": (Fault(non_json_200=True), core.QwenVLAPIError, lc.ModelAPIError, True),
    "no finish": (
        Fault(reply=SO_FAR, close_without_finish=True, after=4),
        core.QwenVLStreamInterruptedError, lc.ModelConnectionError, True),
    "broken JSON": (
        Fault(reply=SO_FAR, truncate_json=True, after=4),
        core.QwenVLStreamInterruptedError, lc.ModelConnectionError, True),
    "reset": (
        Fault(reply=SO_FAR, reset="after-events", after=4),
        core.QwenVLStreamInterruptedError, lc.ModelConnectionError, True),
    "hung up": (Fault(reset="before-headers"), core.QwenVLConnectionError, lc.ModelConnectionError, True),
}  # fmt: skip
TOLD_IN_STREAM = ("in the stream", "no finish", "broken JSON", "reset")


async def ainvoke(llm: ChatQwenVL) -> Any:
    try:
        return await llm.ainvoke("Hi")
    finally:
        await llm.aclose()


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("how", ["invoke", "stream", "ainvoke"])
async def test_kinds(name: str, how: str, make: Make, emulator: Emulator) -> None:
    fault, ours, theirs, retryable = KINDS[name]
    emulator.script(fault)
    llm = make(max_retries=0)
    with pytest.raises(ours) as raised:
        _ = llm.invoke("Hi") if how == "invoke" else list(llm.stream("Hi")) if how == "stream" else await ainvoke(llm)
    error = raised.value
    assert isinstance(error, theirs)
    assert isinstance(error, core.QwenVLError)
    assert error.is_retryable is error.retryable is retryable
    assert type(error).__name__ == ours.__name__
    assert error.partial == ("So" if name in TOLD_IN_STREAM else "")
    if fault.reset != "before-headers":
        assert error.request_id == "00000000-0000-9000-8000-000000000001"
        assert str(error.request_id) in str(error)
    if fault.status and fault.error_format not in ("in-stream",):
        assert error.status_code == fault.status
        assert error.__cause__ is not None
        assert type(error.__cause__).__module__.startswith("openai")
    if error.hint:
        assert error.hint in str(error)


def test_what_an_error_carries(make: Make, emulator: Emulator) -> None:
    emulator.script(Fault(401, "InvalidApiKey", "Incorrect API key provided."))
    with pytest.raises(core.QwenVLAuthenticationError) as raised:
        make().invoke("Hi")
    error = raised.value
    assert error.message == "Incorrect API key provided."
    assert (error.code, error.status_code) == ("invalid_api_key", 401)
    assert "region" in error.hint
    assert error.hint in str(error)
    assert KEY not in str(error)


def test_every_error_has_both_kinds_or_is_the_callers_own() -> None:
    """A new class in the core's tree needs a word on what it is to LangChain."""

    def tree(cls: type[core.QwenVLError]) -> list[type[core.QwenVLError]]:
        return [cls, *(leaf for sub in cls.__subclasses__() if sub.__module__ == core.__name__ for leaf in tree(sub))]

    its_own = {core.QwenVLError, core.QwenVLInputError, core.QwenVLPageError}  # the base; the caller's; a loader's
    assert set(tree(core.QwenVLError)) - set(ours_and_theirs._CLASSES) == its_own


@pytest.mark.parametrize("ours", ours_and_theirs._CLASSES, ids=lambda cls: cls.__name__)
def test_errors_can_be_pickled(ours: type[core.QwenVLError]) -> None:
    with pytest.raises(core.QwenVLError) as raised, ours_and_theirs.langchain_errors():
        raise ours("Broken.", code="C", status_code=400, request_id="r", partial="So", hint="Mend it.")
    error = raised.value
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert (again.code, again.status_code, again.request_id, again.partial) == ("C", 400, "r", "So")


def test_the_cause_stays_the_cause() -> None:
    cause = OSError("broken")
    with pytest.raises(lc.ModelConnectionError) as raised, ours_and_theirs.langchain_errors():
        raise core.QwenVLConnectionError("Can't reach it.") from cause
    assert raised.value.__cause__ is cause


def test_what_is_none_of_ours_passes() -> None:
    with pytest.raises(KeyError), ours_and_theirs.langchain_errors():
        raise KeyError("x")


class TestRetries:
    def test_at_most_three_requests(self, llm: ChatQwenVL, emulator: Emulator, quick: None) -> None:
        emulator.script(*[Fault(500)] * 5)
        with pytest.raises(lc.ModelAPIError):
            llm.invoke("Hi")
        assert len(emulator.requests) == 3

    def test_retry_after_is_obeyed(self, llm: ChatQwenVL, emulator: Emulator) -> None:
        emulator.script(Fault(429, "Throttling.RateQuota", headers={"Retry-After": "0.05"}), Reply(text="Hi."))
        assert llm.invoke("Hi").content == "Hi."
        assert len(emulator.requests) == 2

    @pytest.mark.parametrize("name", ["key", "permission", "request", "inspection", "context", "model"])
    def test_what_asking_again_can_not_mend(self, name: str, llm: ChatQwenVL, emulator: Emulator) -> None:
        emulator.script(KINDS[name][0])
        with pytest.raises(core.QwenVLError):
            llm.invoke("Hi")
        assert len(emulator.requests) == 1

    def test_a_stream_that_has_begun_is_not_begun_again(self, llm: ChatQwenVL, emulator: Emulator) -> None:
        emulator.script(KINDS["reset"][0])
        with pytest.raises(lc.ModelConnectionError):
            llm.invoke("Hi")
        assert len(emulator.requests) == 1

    @pytest.fixture
    def quick(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """No waits between tries."""
        import openai._base_client as sdk

        monkeypatch.setattr(sdk, "INITIAL_RETRY_DELAY", 0.001)
        monkeypatch.setattr(sdk, "MAX_RETRY_DELAY", 0.001)


class TestLangChainsOwnMeans:
    async def test_with_retry(self, make: Make, emulator: Emulator) -> None:
        llm = make(max_retries=0)
        emulator.script(Fault(500), Reply(text="Hi."), Fault(500), Reply(text="Hi."))
        patient = llm.with_retry(retry_if_exception_type=(lc.ModelAPIError,), wait_exponential_jitter=False)
        assert patient.invoke("Hi").content == "Hi."
        assert (await patient.ainvoke("Hi")).content == "Hi."
        await llm.aclose()

    @pytest.mark.parametrize("kind", [lc.ContextOverflowError, core.QwenVLContextOverflowError, Exception])
    def test_with_fallbacks(self, kind: type[Exception], make: Make, emulator: Emulator, body: Any) -> None:
        llm = make().with_fallbacks([make(model="qwen3.5-plus")], exceptions_to_handle=(kind,))
        emulator.script(KINDS["context"][0], Reply(text="Hi."))
        assert llm.invoke("Hi").content == "Hi."
        assert body()["model"] == "qwen3.5-plus"
        emulator.script(KINDS["context"][0], Reply(text="Hi."))
        assert "".join(chunk.text for chunk in llm.stream("Hi")) == "Hi."

    async def test_a_rate_limiter(self, make: Make) -> None:
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
    async def test_fallbacks_of_streams(self, api: Any, make: Make, emulator: Emulator) -> None:
        """Before the first chunk another model takes over; a stream that has given some is not begun again."""
        url = emulator.compat_url if api == "openai" else emulator.native_url
        first, other = (make(api=api, base_url=url, max_retries=0, model=name) for name in ("qwen3-vl-plus", "qvq-max"))
        llm = first.with_fallbacks([other])
        for error_format in ("json", "in-stream"):
            emulator.script(*[Fault(429, "Throttling.RateQuota", error_format=error_format), Reply(text="Hi.")] * 2)
            assert "".join(chunk.text for chunk in llm.stream("Hi")) == "Hi."
            assert "".join([chunk.text async for chunk in llm.astream("Hi")]) == "Hi."
        begun = Fault(reply=Reply(text=["So", " far", "."]), reset="after-events", after=2)
        emulator.script(begun, begun)
        sent = len(emulator.requests)
        with pytest.raises(lc.ModelConnectionError):
            list(llm.stream("Hi"))
        with pytest.raises(lc.ModelConnectionError):
            _ = [chunk async for chunk in llm.astream("Hi")]
        assert len(emulator.requests) == sent + 2
        await first.aclose()
        await other.aclose()

    async def test_a_failure_is_not_kept_in_the_cache(self, make: Make, emulator: Emulator) -> None:
        llm = make(cache=InMemoryCache(), max_retries=0)
        emulator.script(Fault(500), Reply(text="Hi."))
        with pytest.raises(lc.ModelAPIError):
            llm.invoke("Hi")
        assert llm.invoke("Hi").content == (await llm.ainvoke("Hi")).content == "Hi."
        assert len(emulator.requests) == 2
