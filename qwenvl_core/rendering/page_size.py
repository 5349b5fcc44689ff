"""How large a page is rendered: at exactly the size at which the model sees it, so that the server resizes nothing.

Coordinates in pixels, as Qwen2.5-VL gives them, are then pixels of the image that was sent, and no pixel is paid for
that the model does not see. Source: the vendor's page "Visual understanding (Qwen-VL)", image resizing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from qwenvl_core.catalog.models import ModelFacts
from qwenvl_core.tokens import MAX_RATIO, image_resize

POINTS_PER_INCH = 72
AUTO_DPI = 200
"""Dots per inch above which `dpi="auto"` does not go: text of a common size gains nothing more."""


@dataclass(frozen=True, slots=True)
class Extent:
    """What there is of a page.

    Attributes:
        width: In units.
        height: In units.
        per_inch: Units per inch; `None` for an image that does not say.
        scalable: It can be rendered at any size, as a PDF can. An image is not made larger than it is.
    """

    width: float
    height: float
    per_inch: float | None
    scalable: bool


@dataclass(frozen=True, slots=True)
class Sizing:
    """At which size pages are rendered.

    Attributes:
        facts: Of the model that looks at them.
        dpi: `"auto"` fills the model's budget of pixels, up to 200 dots per inch. A number is that many dots per inch,
            within the budget. An image keeps its pixels under `"auto"`; a number counts for it if it says its own
            resolution.
        high_resolution: The budget is the one of `vl_high_resolution_images`.
        max_pixels: What the request asks for; more than the model's default makes the budget larger.
    """

    facts: ModelFacts
    dpi: float | Literal["auto"] = "auto"
    high_resolution: bool = False
    max_pixels: int | None = None

    def fit(self, extent: Extent) -> tuple[int, int]:
        """Width and height in pixels, both multiples of the model's square.

        Raises:
            QwenVLInputError: A page without area, or of a shape that no model takes.
        """
        scale = self._scale(extent)
        height, width = image_resize(
            extent.width * scale,
            extent.height * scale,
            self.facts,
            max_pixels=self.max_pixels,
            vl_high_resolution_images=self.high_resolution,
        )
        # Rounding may make a very long page longer than the service takes.
        return min(width, MAX_RATIO * height), min(height, MAX_RATIO * width)

    def _scale(self, extent: Extent) -> float:
        if extent.scalable:
            return (AUTO_DPI if self.dpi == "auto" else self.dpi) / (extent.per_inch or POINTS_PER_INCH)
        if self.dpi == "auto" or not extent.per_inch:
            return 1.0
        return min(1.0, self.dpi / extent.per_inch)
