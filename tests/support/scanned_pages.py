"""Make scanned documents whose pages have different widths, so that the image in a request identifies its page."""

from __future__ import annotations

import base64
import io
import re
from functools import cache

from PIL import Image, ImageDraw

from qwenvl_core.media.sniffing import sniff
from tests.emulator import RecordedRequest, Reply

_DPI = 200  # with `dpi="auto"`, a page is then sent with its original pixels
_SQUARE = 32
_FIRST_WIDTH = 10


def width_of(number: int) -> int:
    """Return the width in pixels of a page."""
    return _SQUARE * (_FIRST_WIDTH + number)


@cache
def scan(pages: int, kind: str = "PDF", height: int = 320) -> bytes:
    """Return a PDF or TIFF with this number of pages, each of another width."""
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
    """Return the number of the page in a request."""
    width, _ = size_in(request)
    return width // _SQUARE - _FIRST_WIDTH


def size_in(request: RecordedRequest) -> tuple[int, int]:
    """Return width and height in pixels of the image in a request."""
    info = sniff(image_in(request))
    assert info.width
    assert info.height
    return info.width, info.height


def image_in(request: RecordedRequest) -> bytes:
    """Return the bytes of the image in a request."""
    found = re.search(r"data:image/jpeg;base64,([A-Za-z0-9+/=]+)", request.body.decode())
    assert found
    return base64.b64decode(found[1])


def html(number: int) -> str:
    """Return the transcription of a page: a title, a text and a table, each with its box."""
    return (
        '<html><body><h2 data-bbox="100 50 900 100">'
        f'Title {number}</h2><div class="text" data-bbox="100 150 900 400">Words of page {number}.</div>'
        '<div class="table" data-bbox="100 500 900 800"><table><tr><th>Item</th><th>Price</th></tr>'
        f"<tr><td>Tea</td><td>{number}.50</td></tr></table></div></body></html>"
    )


def answer(request: RecordedRequest) -> Reply:
    """Reply to a request with the transcription of its page."""
    return Reply(reasoning="I look.", text=html(page_in(request)), usage={"prompt": 100, "completion": 10, "image": 90})
