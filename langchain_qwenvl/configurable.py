"""Set the fields of a model from the config of a call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.runnables.configurable import RunnableConfigurableFields
from langchain_core.runnables.utils import ConfigurableField
from typing_extensions import override

from langchain_qwenvl.exceptions import QwenVLInputError
from qwenvl_core.types.settings import find_replaced

if TYPE_CHECKING:
    from langchain_core.runnables.base import Runnable
    from langchain_core.runnables.config import RunnableConfig


class ConfigurableModel(RunnableConfigurableFields):  # type: ignore[type-arg]  # pydantic would build another class
    """Copy the model and change the configured fields.

    LangChain instead constructs a new model from the values of all fields, so that defaults count as set by the user:
    `enable_thinking` would be sent to models that are not in the catalog, the profile would be the original model's,
    and each call would open new connections.
    """

    @override
    def _prepare(self, config: RunnableConfig | None = None) -> tuple[Runnable[Any, Any], RunnableConfig]:
        constructed, config = super()._prepare(config)
        if constructed is self.default:
            return constructed, config
        ids = config.get("configurable", {})
        update: dict[str, Any] = {
            name: getattr(constructed, name)
            for name, field in self.fields.items()
            if not isinstance(field, ConfigurableField) or field.id in ids
        }
        update |= dict.fromkeys(find_replaced(self.default.__dict__, update))
        return self.default.model_copy(update=update), config

    def submit_batch(self, *args: Any, **kwargs: Any) -> Any:
        """Raise: the fields are set by the config of a call, which a batch does not have.

        Raises:
            QwenVLInputError: Always.
        """
        raise QwenVLInputError(
            "submit_batch is not possible with configurable fields. Call it on a model that has their values."
        )

    asubmit_batch = submit_batch

    @classmethod
    @override
    def lc_id(cls) -> list[str]:
        """Return the id of LangChain's class, which is the one that LangChain revives."""
        return RunnableConfigurableFields.lc_id()
