"""A model whose fields a call's config chooses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.runnables.configurable import RunnableConfigurableFields
from langchain_core.runnables.utils import ConfigurableField
from typing_extensions import override

if TYPE_CHECKING:
    from langchain_core.runnables.base import Runnable
    from langchain_core.runnables.config import RunnableConfig


class ConfigurableModel(RunnableConfigurableFields):  # type: ignore[type-arg]  # pydantic would make another class
    """Copies the model for each choice.

    LangChain makes a new model of the values of all fields, as if each had been given: a model that the catalogue does
    not know would be told to think, another one would keep the profile, and each call would open its own connections.
    """

    @override
    def _prepare(self, config: RunnableConfig | None = None) -> tuple[Runnable[Any, Any], RunnableConfig]:
        made, config = super()._prepare(config)
        if made is self.default:
            return made, config
        ids = config.get("configurable", {})
        chosen: dict[str, Any] = {
            name: getattr(made, name)
            for name, field in self.fields.items()
            if not isinstance(field, ConfigurableField) or field.id in ids
        }
        return self.default.model_copy(update=chosen), config

    @classmethod
    @override
    def lc_id(cls) -> list[str]:
        """Stored as LangChain's own, which revives it."""
        return RunnableConfigurableFields.lc_id()
