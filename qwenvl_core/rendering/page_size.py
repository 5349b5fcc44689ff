"""Compute the size at which a page is rendered: the model's input size, so that the server does not resize it.

Coordinates in pixels, as Qwen2.5-VL returns them, are then pixels of the image that was sent, and no pixels are sent
that the server would discard. Source: the vendor's page "Visual understanding (Qwen-VL)", image resizing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from qwenvl_core.catalog.models import ModelFacts
from qwenvl_core.tokens import MAX_RATIO, image_resize

POINTS_PER_INCH = 72
AUTO_DPI = 200
"""Highest resolution of `dpi="auto"`, in dots per inch; text of a common size does not need more."""


@dataclass(frozen=True, slots=True)
class PageExtent:
    """The size of a page in the document.

    Attributes:
        width: Width in units.
        height: Height in units.
        units_per_inch: Units per inch; `None` for an image without a resolution.
        is_scalable: Whether the page can be rendered at any size, as a PDF can. Images are never enlarged.
        pixels_per_unit: Pixels per unit of the scan that fills a scalable page; `None` without one.
    """

    width: float
    height: float
    units_per_inch: float | None
    is_scalable: bool
    pixels_per_unit: float | None = None


@dataclass(frozen=True, slots=True)
class PageSizing:
    """The rule for the size of rendered pages.

    Attributes:
        facts: Facts of the model that reads the pages.
        dpi: `"auto"` uses the model's whole pixel budget, up to 200 dots per inch or the resolution of the scan that
            fills the page: a page may declare any size around it. Images keep their pixels. A number
            is the resolution in dots per inch, within the budget; images are scaled to it if they have a resolution.
        high_resolution: Whether to use the budget of `vl_high_resolution_images`.
        max_pixels: The request's `max_pixels`; a value above the model's default increases the budget.
    """

    facts: ModelFacts
    dpi: float | Literal["auto"] = "auto"
    high_resolution: bool = False
    max_pixels: int | None = None

    def fit(self, extent: PageExtent) -> tuple[int, int]:
        """Return width and height in pixels, both multiples of the model's `token_factor`.

        Raises:
            QwenVLInputError: The page has no area, or no model accepts its aspect ratio.
        """
        scale = self._compute_scale(extent)
        height, width = image_resize(
            extent.width * scale,
            extent.height * scale,
            self.facts,
            max_pixels=self.max_pixels,
            vl_high_resolution_images=self.high_resolution,
        )
        # For a very long page, rounding can exceed the service's limit of the aspect ratio.
        return min(width, MAX_RATIO * height), min(height, MAX_RATIO * width)

    def _compute_scale(self, extent: PageExtent) -> float:
        if extent.is_scalable:
            units_per_inch = extent.units_per_inch or POINTS_PER_INCH
            if self.dpi != "auto":
                return self.dpi / units_per_inch
            return max(AUTO_DPI / units_per_inch, extent.pixels_per_unit or 0)
        if self.dpi == "auto" or not extent.units_per_inch:
            return 1.0
        return min(1.0, self.dpi / extent.units_per_inch)
