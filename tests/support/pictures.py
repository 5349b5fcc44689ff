"""Make pictures, and compare them by what they look like: encoded bytes differ between versions of an image library."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image

from tests.emulator import Emulator

_SIDE = 48  # enough to tell pages of text from each other


def shrink(picture: bytes) -> bytes:
    """Return a small grey copy of a picture: one byte a pixel, similar ones from similar pictures."""
    with Image.open(io.BytesIO(picture)) as image:
        return image.convert("L").resize((_SIDE, _SIDE), Image.Resampling.BOX).tobytes()


def save_picture(folder: Path, colour: str, emulator: Emulator, caption: str) -> str:
    """Save a picture, and let the emulator know what it shows."""
    path = folder / f"{colour}.png"
    Image.new("RGB", (64, 64), colour).save(path)
    emulator.eyes.learn(path.read_bytes(), caption)
    return str(path)
