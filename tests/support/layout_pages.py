"""Provide pages in Qwen-VL's layout formats, and helpers to build and compare them."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from qwenvl_core.layout import PageLayout

QWEN3 = """<html><body>
<div class="text" data-bbox="91 101 346 127">Yearly Report &amp; more</div>
<div class="image" data-bbox="104 29 455 75"></div>
<div class="table" data-bbox="10 200 900 400"><table><thead><tr><th>Year</th><th>Sum</th></tr></thead>
<tbody><tr><td>2023</td><td>1|2</td></tr><tr><td>2024</td><td>a &lt; b<br>c</td></tr></tbody></table></div>
<div class="text" data-bbox="91 501 346 527">two
lines</div>
</body></html>"""

QWEN25 = """```html
<html><body>
<style>table1 { border: 1px }</style>
<h2 data-bbox="120 200 400 600"> Intro</h2>
<p data-bbox="12 80 400 160">Some <b>bold</b> text</p>
<ol data-bbox="10 200 400 400"><li data-bbox="10 200 400 300">first</li><li data-bbox="10 300 400 400">second</li></ol>
<div class="image" data-bbox="1 2 300 400"><img data-bbox="1 2 300 400"/></div>
<table data-bbox="1 2 300 400" class="table1"><tr><td colspan="2">wide</td></tr><tr><td>b</td><td>c</td></tr></table>
<div class="chart" data-bbox="1 2 300 400"> <img data-bbox="1 2 300 400"/>
<table><tr><td>q1</td><td>7</td></tr></table></div>
<div class="formula" data-bbox="1 2 300 400"><img data-bbox="1 2 300 400"/><div>$$E=mc^2$$</div></div>
<div class="image caption" data-bbox="1 2 300 400"><img data-bbox="1 2 300 400"/><p>A dog</p></div>
<div class="image ocr" data-bbox="1 2 300 400"><img data-bbox="1 2 300 400"/><p>STOP</p></div>
<div class="music sheet" format="abc notation" data-bbox="1 2 300 400"><img data-bbox="1 2 300 400"/><div>X:1
K:C</div></div>
<div class="chemical formula" format="smile" data-bbox="1 2 300 400"><img data-bbox="1 2 300 400"/><div>CCO</div></div>
<div class="formula.machine_printed" data-polygon="1 2 300 2 300 400 1 400">a+b</div>
</body></html>
```"""

MARKDOWN = r"""# Report

First paragraph
goes on.

<!-- Image (66, 75, 454, 256) -->

- one
- two

<!-- Table (10, 20, 500, 600) -->
\begin{tabular}{|c|c|}
\hline
Year & Sum \\ \hline
2023 & 50\% \\
\end{tabular}

$$
E=mc^2
$$

The end."""


def list_types(page: PageLayout) -> list[str]:
    """Return the type of each element."""
    return [element.type for element in page.elements]


def list_texts(page: PageLayout) -> list[str]:
    """Return the text of each element."""
    return [element.text for element in page.elements]


def make_div(text: str, bbox: str = "100 200 300 400", css_class: str = "text") -> str:
    """Return an element as Qwen3-VL writes it."""
    return f'<div class="{css_class}" data-bbox="{bbox}">{text}</div>'


def check_page(page: PageLayout) -> PageLayout:
    """Check what holds for every page, and return the page."""
    for index, element in enumerate(page.elements):
        assert element.index == index
        if element.html is not None:
            ET.fromstring(element.html)
            assert "data-bbox" not in element.html
        element.text.encode()
    page.markdown.encode()
    return page
