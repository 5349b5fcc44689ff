"""Small media for the tests under their former names; see `tests/support/media_files.py`."""

from __future__ import annotations

from tests.support.media_files import MP4_HEAD as MP4
from tests.support.media_files import data_uri as uri
from tests.support.media_files import solid_image as image

__all__ = ["MP4", "image", "uri"]
