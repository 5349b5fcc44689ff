"""Structured prediction, in all four of LlamaIndex's ways.

The framework's own programs force a tool in two of the four ways only, and lose the system prompt in one.
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

if TYPE_CHECKING:
    from llama_index.core.base.llms.types import ChatMessage
    from llama_index.core.program.utils import FlexibleModel
    from llama_index.core.prompts import BasePromptTemplate, PromptTemplate

_dispatcher = get_dispatcher(__name__)

# In the other modes the framework's programs ask in plain text, which goes with thinking.
_MODES = (PydanticProgramMode.DEFAULT, PydanticProgramMode.FUNCTION)


class StructuredPrediction(QwenVLBase):
    """Answers a prompt with an object, without thinking.

    The object is asked for as JSON; with `pydantic_program_mode` FUNCTION as the arguments of a forced tool, and with
    LLM in plain text.
    """

    @override
    def structured_predict(
        self,
        output_cls: type[Model],
        prompt: BasePromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> Model:
        """The object that answers a prompt.

        Args:
            output_cls: Its class.
            prompt: The prompt, which may hold images.
            llm_kwargs: Settings of the call.
            prompt_args: What fills the prompt.

        Raises:
            QwenVLOutputError: The answer is no such object.
        """
        if self.pydantic_program_mode not in _MODES:
            result: Model = super().structured_predict(output_cls, prompt, llm_kwargs, **prompt_args)
            return result
        from llama_index_qwenvl.structured_parsing import parse_object

        _started(output_cls, prompt, prompt_args)
        response = self.chat(self._asked(prompt, prompt_args), **self._keywords(output_cls, llm_kwargs))
        return _ended(parse_object(response, output_cls))

    @override
    async def astructured_predict(
        self,
        output_cls: type[Model],
        prompt: BasePromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> Model:
        """As `structured_predict`, for async."""
        if self.pydantic_program_mode not in _MODES:
            result: Model = await super().astructured_predict(output_cls, prompt, llm_kwargs, **prompt_args)
            return result
        from llama_index_qwenvl.structured_parsing import parse_object

        _started(output_cls, prompt, prompt_args)
        response = await self.achat(self._asked(prompt, prompt_args), **self._keywords(output_cls, llm_kwargs))
        return _ended(parse_object(response, output_cls))

    # The framework's `stream_structured_predict` and its async sister report the events around these.

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
        from llama_index_qwenvl.structured_parsing import PartialObjectParser

        objects = PartialObjectParser(output_cls)
        chunks = self.stream_chat(self._asked(prompt, prompt_args), **self._keywords(output_cls, llm_kwargs))
        with closing(chunks):
            for chunk in chunks:
                so_far = objects.update(chunk)
                if so_far is not None:
                    yield so_far
        yield objects.whole()

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
        from llama_index_qwenvl.structured_parsing import PartialObjectParser

        chunks = await self.astream_chat(self._asked(prompt, prompt_args), **self._keywords(output_cls, llm_kwargs))

        async def objects_in() -> AsyncGenerator[Model | list[Model] | FlexibleModel | list[FlexibleModel], None]:
            objects = PartialObjectParser(output_cls)
            async with aclosing(chunks):
                async for chunk in chunks:
                    so_far = objects.update(chunk)
                    if so_far is not None:
                        yield so_far
            yield objects.whole()

        return objects_in()

    def _asked(self, prompt: BasePromptTemplate, prompt_args: Mapping[str, Any]) -> list[ChatMessage]:
        return self._extend_messages(prompt.format_messages(llm=self, **prompt_args))

    def _keywords(self, output_cls: type[Model], llm_kwargs: Mapping[str, Any] | None) -> dict[str, Any]:
        from llama_index_qwenvl.structured_parsing import keywords_for

        return keywords_for(output_cls, self.pydantic_program_mode, llm_kwargs)


def _started(output_cls: type[Model], prompt: BasePromptTemplate, prompt_args: dict[str, Any]) -> None:
    _dispatcher.event(LLMStructuredPredictStartEvent(output_cls=output_cls, template=prompt, template_args=prompt_args))


def _ended(result: Model) -> Model:
    _dispatcher.event(LLMStructuredPredictEndEvent(output=result))
    return result
