"""Check that Pillow is installed, with one message for all that needs it."""

from __future__ import annotations


def require_pillow(purpose: str) -> None:
    """Raise where Pillow is missing.

    Args:
        purpose: What needs it, as the beginning of a sentence: "Drawing", 'media_policy="fit"'.

    Raises:
        ImportError: Pillow is missing; the message names the extra.
    """
    try:
        import PIL  # noqa: F401
    except ImportError as error:
        raise ImportError(f'{purpose} needs Pillow: pip install "qwenvl-adapters[documents]"', name="PIL") from error
