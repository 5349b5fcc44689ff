"""Tests of the size at which pages are rendered."""

from __future__ import annotations

from typing import Literal

import pytest

from qwenvl_core.catalog.models import describe
from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.media.sniffing import sniff
from qwenvl_core.rendering.open import open_pages
from qwenvl_core.rendering.page_size import PageExtent, PageSizing
from qwenvl_core.rendering.pages import render_page
from qwenvl_core.tokens import image_tokens, smart_resize
from tests.core.rendering.helpers import A4, FIT, MODEL
from tests.support.paths import SCANS

Dpi = float | Literal["auto"]


@pytest.mark.parametrize(
    ("model", "points", "high", "dpi", "tokens"),
    [
        (MODEL, A4, False, "auto", 2522),
        (MODEL, A4, False, 144, 1963),
        (MODEL, A4, False, 300, 2522),
        (MODEL, A4, True, "auto", 3798),
        (MODEL, A4, True, 300, 8582),
    ],
)
def test_a4_page_at_dpi_costs_tokens(
    model: str, points: tuple[float, float], high: bool, dpi: Dpi, tokens: int
) -> None:
    width, height = PageSizing(describe(model), dpi, high).fit(PageExtent(*points, 72, is_scalable=True))
    assert image_tokens(width, height, model, vl_high_resolution_images=high) == tokens


@pytest.mark.parametrize("model", [MODEL, "qwen-vl-max", "qwen2.5-vl-72b-instruct", "qvq-max", "qwen3.5-plus", "mine"])
@pytest.mark.parametrize("high", [False, True])
@pytest.mark.parametrize("dpi", ["auto", 72, 300.5, 1e6])
@pytest.mark.parametrize("points", [A4, (842, 1191), (20, 20), (14400, 14400), (3, 500), (718.5, 300)])
def test_fit_returns_size_that_server_keeps(model: str, high: bool, dpi: Dpi, points: tuple[float, float]) -> None:
    facts = describe(model)
    width, height = PageSizing(facts, dpi, high).fit(PageExtent(*points, 72, is_scalable=True))
    tokens = facts.max_image_tokens if high else facts.default_image_tokens
    area = facts.token_factor**2
    resized = smart_resize(height, width, factor=facts.token_factor, min_pixels=4 * area, max_pixels=tokens * area)
    assert resized == (height, width)


def test_max_pixels_enlarges_budget_but_does_not_reduce_it() -> None:
    extent = PageExtent(*A4, 72, is_scalable=True)
    width, height = PageSizing(describe(MODEL), max_pixels=4_000_000).fit(extent)
    assert width * height > 3_800_000
    assert PageSizing(describe(MODEL), max_pixels=1000).fit(extent) == PageSizing(describe(MODEL)).fit(extent)


def test_image_keeps_its_pixels_unless_dpi_is_lower_than_its_resolution() -> None:
    scanned = PageExtent(1000, 800, units_per_inch=300, is_scalable=False)
    assert PageSizing(describe(MODEL)).fit(scanned) == (992, 800)
    assert PageSizing(describe(MODEL), 150).fit(scanned) == (512, 384)
    assert PageSizing(describe(MODEL), 600).fit(scanned) == (992, 800)
    assert PageSizing(describe(MODEL), 150).fit(PageExtent(1000, 800, units_per_inch=None, is_scalable=False)) == (
        992,
        800,
    )


@pytest.mark.parametrize("points", [(1, 1000), (0, 100)])
def test_page_without_usable_shape_raises_input_error(points: tuple[float, float]) -> None:
    with pytest.raises(QwenVLInputError):
        FIT(PageExtent(*points, 72, is_scalable=True))


@pytest.mark.skipif(not SCANS.is_dir(), reason="the real scans are not here")
@pytest.mark.parametrize(
    ("model", "sizes"),
    [
        (MODEL, [(1024, 1312), (1600, 1600), (1984, 832), (1984, 832), (1408, 1824), (1824, 1408)]),
        ("qwen2.5-vl-7b-instruct", [(868, 1120), (980, 980), (1540, 644), (1540, 644), (868, 1120), (1120, 868)]),
    ],
)
def test_real_scans_are_rendered_at_exact_sizes(model: str, sizes: list[tuple[int, int]]) -> None:
    sizing = PageSizing(describe(model))
    with open_pages(SCANS / "multipage.pdf") as pages:
        rendered = [render_page(pages, number, sizing.fit) for number in range(1, pages.count + 1)]
        assert [pages.size(number, sizing.fit) for number in range(1, pages.count + 1)] == sizes
    assert [(page.width, page.height) for page in rendered] == sizes
    assert [(info.width, info.height, info.mime) for info in (sniff(page.jpeg) for page in rendered)] == [
        (width, height, "image/jpeg") for width, height in sizes
    ]
