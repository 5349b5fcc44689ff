"""Bind keywords to the chat model so that its batches have them too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import langchain_core.language_models.chat_models as chat_models
from langchain_core.runnables.base import RunnableBinding
from typing_extensions import override

if TYPE_CHECKING:
    from langchain_core.language_models.chat_models import _ChatModelBinding
else:
    # What `BaseChatModel.bind` returns in newer versions; at runtime it is a plain `RunnableBinding`.
    _ChatModelBinding = getattr(chat_models, "_ChatModelBinding", RunnableBinding)


class BoundModel(_ChatModelBinding):
    """A model with bound keywords.

    LangChain's class passes other methods on to the model without the bound keywords, so that a batch would be
    submitted without the tools that are bound.
    """

    def submit_batch(self, inputs: Any, **kwargs: Any) -> Any:
        """Submit inputs with the bound keywords; see `ChatQwenVL.submit_batch`."""
        model: Any = self.bound
        return model.submit_batch(inputs, **{**self.kwargs, **kwargs})

    async def asubmit_batch(self, inputs: Any, **kwargs: Any) -> Any:
        """Submit inputs asynchronously; see `submit_batch`."""
        model: Any = self.bound
        return await model.asubmit_batch(inputs, **{**self.kwargs, **kwargs})

    @classmethod
    @override
    def lc_id(cls) -> list[str]:
        """Return the id of LangChain's class, which is the one that LangChain revives."""
        return RunnableBinding.lc_id()
