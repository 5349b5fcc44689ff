"""Scans for the tests: made here, page by page of another width, so that a request tells which page it shows."""

from __future__ import annotations

import base64
import io
import re
from functools import cache

from PIL import Image, ImageDraw

from qwenvl_core.media.sniffing import sniff
from tests.emulator import RecordedRequest, Reply

_DPI = 200  # as `dpi="auto"`: a page is sent at the pixels that it was made of
_SQUARE = 32
_FIRST = 10


def width_of(number: int) -> int:
    """Width in pixels of the page with this number."""
    return _SQUARE * (_FIRST + number)


@cache
def scan(pages: int, kind: str = "PDF", height: int = 320) -> bytes:
    """A document of so many pages, all of other widths."""
    images = []
    for number in range(1, pages + 1):
        image = Image.new("L", (width_of(number), height), 255)
        ImageDraw.Draw(image).text((20, 20), f"Page {number}", fill=0)
        images.append(image)
    buffer = io.BytesIO()
    rate = {"resolution": _DPI} if kind == "PDF" else {"dpi": (_DPI, _DPI)}
    images[0].save(buffer, kind, save_all=True, append_images=images[1:], **rate)
    return buffer.getvalue()


def page_in(request: RecordedRequest) -> int:
    """The number of the page that a request shows."""
    width, _ = size_in(request)
    return width // _SQUARE - _FIRST


def size_in(request: RecordedRequest) -> tuple[int, int]:
    """Width and height in pixels of the image in a request."""
    seen = sniff(image_in(request))
    assert seen.width
    assert seen.height
    return seen.width, seen.height


def image_in(request: RecordedRequest) -> bytes:
    """The image in a request."""
    found = re.search(r"data:image/jpeg;base64,([A-Za-z0-9+/=]+)", request.body.decode())
    assert found
    return base64.b64decode(found[1])


def html(number: int) -> str:
    """What a model says of a page: a title, a text and a table, each with its box."""
    return (
        '<html><body><h2 data-bbox="100 50 900 100">'
        f'Title {number}</h2><div class="text" data-bbox="100 150 900 400">Words of page {number}.</div>'
        '<div class="table" data-bbox="100 500 900 800"><table><tr><th>Item</th><th>Price</th></tr>'
        f"<tr><td>Tea</td><td>{number}.50</td></tr></table></div></body></html>"
    )


def answer(request: RecordedRequest) -> Reply:
    """A model that reads these pages."""
    return Reply(reasoning="I look.", text=html(page_in(request)), usage={"prompt": 100, "completion": 10, "image": 90})
