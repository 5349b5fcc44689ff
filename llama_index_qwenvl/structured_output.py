"""Implement structured prediction for all four methods of LlamaIndex: sync, async, streamed and streamed async.

LlamaIndex's programs force a tool in only two of the four, and drop the system prompt in one.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import aclosing, closing
from typing import TYPE_CHECKING, Any

from llama_index.core.instrumentation import get_dispatcher  # type: ignore[attr-defined]  # re-exported
from llama_index.core.instrumentation.events.llm import LLMStructuredPredictEndEvent, LLMStructuredPredictStartEvent
from llama_index.core.types import Model, PydanticProgramMode
from typing_extensions import override

from llama_index_qwenvl.model_base import QwenVLBase
from qwenvl_core.client.lazy_import import lazy_module
from qwenvl_core.errors import QwenVLOutputError

if TYPE_CHECKING:
    from llama_index.core.base.llms.types import ChatMessage
    from llama_index.core.program.utils import FlexibleModel
    from llama_index.core.prompts import BasePromptTemplate, PromptTemplate

    from llama_index_qwenvl import structured_parsing
else:
    structured_parsing = lazy_module("llama_index_qwenvl.structured_parsing")

_dispatcher = get_dispatcher(__name__)

# In the other modes LlamaIndex's programs request the object in plain text.
_MODES = (PydanticProgramMode.DEFAULT, PydanticProgramMode.FUNCTION)


class StructuredPrediction(QwenVLBase):
    """Answer a prompt with an object.

    The object is requested as JSON; with `pydantic_program_mode` FUNCTION as the arguments of a forced tool, with LLM
    in plain text. A model that thinks is asked for the first two; see `forced_output`.
    """

    @override
    def structured_predict(
        self,
        output_cls: type[Model],
        prompt: BasePromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> Model:
        """Predict an object from a prompt.

        Args:
            output_cls: The pydantic class of the object.
            prompt: The prompt, which may contain images.
            llm_kwargs: Settings of this call.
            prompt_args: Values for the prompt's variables.

        Returns:
            The object.

        Raises:
            QwenVLOutputError: The answer is not such an object.
            QwenVLError: The request failed.

        Example:
            ```python
            from llama_index.core.prompts import PromptTemplate
            from pydantic import BaseModel

            class Total(BaseModel):
                amount: float

            prompt = PromptTemplate("The total of {shop} was 18.37.")
            print(llm.structured_predict(Total, prompt, shop="the bakery"))
            ```
        """
        if self.pydantic_program_mode not in _MODES:
            result: Model = super().structured_predict(output_cls, prompt, llm_kwargs, **prompt_args)
            return result
        _report_start(output_cls, prompt, prompt_args)
        messages = self._format_messages(prompt, prompt_args)
        try:
            response = self.chat(messages, **self._build_call_settings(output_cls, llm_kwargs))
        except QwenVLOutputError as error:
            return _report_end(structured_parsing.parse_rejected_answer(error, output_cls))
        return _report_end(structured_parsing.parse_object(response, output_cls))

    @override
    async def astructured_predict(
        self,
        output_cls: type[Model],
        prompt: BasePromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> Model:
        """Predict an object asynchronously; see `structured_predict`."""
        if self.pydantic_program_mode not in _MODES:
            result: Model = await super().astructured_predict(output_cls, prompt, llm_kwargs, **prompt_args)
            return result
        _report_start(output_cls, prompt, prompt_args)
        messages = self._format_messages(prompt, prompt_args)
        try:
            response = await self.achat(messages, **self._build_call_settings(output_cls, llm_kwargs))
        except QwenVLOutputError as error:
            return _report_end(structured_parsing.parse_rejected_answer(error, output_cls))
        return _report_end(structured_parsing.parse_object(response, output_cls))

    # LlamaIndex's `stream_structured_predict` and `astream_structured_predict` report the events around these.

    @override
    def _structured_stream_call(
        self,
        output_cls: type[Model],
        prompt: PromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> Generator[Model | list[Model] | FlexibleModel | list[FlexibleModel], None, None]:
        if self.pydantic_program_mode not in _MODES:
            yield from super()._structured_stream_call(output_cls, prompt, llm_kwargs, **prompt_args)
            return
        parser = structured_parsing.PartialObjectParser(output_cls)
        chunks = self.stream_chat(
            self._format_messages(prompt, prompt_args), **self._build_call_settings(output_cls, llm_kwargs)
        )
        with closing(chunks):
            try:
                for chunk in chunks:
                    partial = parser.update(chunk)
                    if partial is not None:
                        yield partial
            except QwenVLOutputError as error:
                yield structured_parsing.parse_rejected_answer(error, output_cls)
                return
        yield parser.finish()

    @override
    async def _structured_astream_call(
        self,
        output_cls: type[Model],
        prompt: PromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> AsyncGenerator[Model | list[Model] | FlexibleModel | list[FlexibleModel], None]:
        if self.pydantic_program_mode not in _MODES:
            return await super()._structured_astream_call(output_cls, prompt, llm_kwargs, **prompt_args)
        chunks = await self.astream_chat(
            self._format_messages(prompt, prompt_args), **self._build_call_settings(output_cls, llm_kwargs)
        )

        async def stream_objects() -> AsyncGenerator[Model | list[Model] | FlexibleModel | list[FlexibleModel], None]:
            parser = structured_parsing.PartialObjectParser(output_cls)
            async with aclosing(chunks):
                try:
                    async for chunk in chunks:
                        partial = parser.update(chunk)
                        if partial is not None:
                            yield partial
                except QwenVLOutputError as error:
                    yield structured_parsing.parse_rejected_answer(error, output_cls)
                    return
            yield parser.finish()

        return stream_objects()

    def _format_messages(self, prompt: BasePromptTemplate, prompt_args: Mapping[str, Any]) -> list[ChatMessage]:
        return self._extend_messages(prompt.format_messages(llm=self, **prompt_args))

    def _build_call_settings(self, output_cls: type[Model], llm_kwargs: Mapping[str, Any] | None) -> dict[str, Any]:
        return structured_parsing.build_call_settings(output_cls, self.pydantic_program_mode, llm_kwargs)


def _report_start(output_cls: type[Model], prompt: BasePromptTemplate, prompt_args: dict[str, Any]) -> None:
    _dispatcher.event(LLMStructuredPredictStartEvent(output_cls=output_cls, template=prompt, template_args=prompt_args))


def _report_end(result: Model) -> Model:
    _dispatcher.event(LLMStructuredPredictEndEvent(output=result))
    return result
