"""Test that numbers which the page shows apart are never joined, in any format of answers and output."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwenvl_core.layout import PageLayout, parse_layout
from tests.support.layout_pages import check_page, make_div

NUMBER = re.compile(r"\d+")

HTML = {
    "sup": "{a}<sup>{b}</sup>{c}",
    "sub": "{a}<sub>{b}</sub>{c}",
    "sup and sub": "x<sup>{a}</sup><sub>{b}</sub>{c}",
    "nested sup": "{a}<sup>{b}<sup>{c}</sup></sup>",
    "linked note": '{a}<sup><a href="#n">{b}</a></sup>{c}',
    "link": '{a}<a href="#n">{b}</a>{c}',
    "note before text": "<sup>{a}</sup>{b} <i>x</i><sup>{c}</sup>",
    "del": "<del>{a}</del>{b}<s>{c}</s>",
    "strike": "{a}<strike>{b}</strike>{c}",
    "small": "{a}<small>{b}</small>{c}",
    "fraction": "{a}<sup>{b}</sup>/<sub>{c}</sub>",
    "fraction slash": "{a}<sup>{b}</sup>&frasl;<sub>{c}</sub>",
    "power in MathML": "<math><msup><mn>{a}</mn><mn>{b}</mn></msup></math>{c}",
    "fraction in MathML": "{a}<math><mfrac><mn>{b}</mn><mn>{c}</mn></mfrac></math>",
    "root in MathML": "<math><mn>{a}</mn><mroot><mn>{b}</mn><mn>{c}</mn></mroot></math>",
    "matrix in MathML": "<math><mtable><mtr><mtd>{a}<mtd>{b}</mtr><mtr><mtd>{c}</mtr></mtable></math>",
    "scripts in MathML": "<math><msubsup><mn>{a}</mn><mn>{b}</mn><mn>{c}</mn></msubsup></math>",
    "numbers in MathML": "<math><mn>{a}</mn><mrow><mn>{b}</mn></mrow></math>{c}",
    "power without math": "<msup><mn>{a}</mn><msup><mn>{b}</mn></msup></msup>{c}",
    "struck by style": "<span style='text-decoration: line-through'>{a}</span>{b} <b>{c}</b>",
    "raised by style": "{a}<span style='vertical-align:super;color:red'>{b}</span>{c}",
    "lowered by style": "{a}<span style='vertical-align: sub'>{b}</span>{c}",
    "field": "{a}<input value='{b}'>{c}",
}
LATEX = {
    **{name: HTML[name] for name in HTML if name not in ("sup and sub", "power without math")},
    "command for sup": r"{a}\textsuperscript{{{b}}}{c}",
    "command for sub": r"{a}\textsubscript{{{b}}}{c}",
    "sup in a formula": "{a}$^{{{b}}}$ {c}",
    "sub in a formula": "{a}$_{{{b}}}${c}",
    "power of a power": r"{a}\textsuperscript{{{b}\textsuperscript{{{c}}}}}",
    "command for del": r"\sout{{{a}}}{b} \st{{{c}}}",
    "note": r"{a}\footnote{{{b}}}{c}",
    "note mark": r"{a}\footnotemark[{b}]{c}",
    "command for a fraction": r"{a} \frac{{{b}}}{{{c}}}",
    "formula": r"${a}^{{{b}}}$ {c}",
}
MARKDOWN = {
    **{name: HTML[name] for name in HTML if name not in ("sup and sub", "power without math")},
    "link in Markdown": "{a}[{b}](#n){c}",
    "code": "{a}`{b}`{c}",
    "struck": "~~{a}~~{b} ~~{c}~~",
    "struck inside": "{a}~~{b}~~{c}",
    "stars": "{a}**{b}**{c}",
    "product": "{a}*{b}*{c}",
    "quotation": "> {a}<sup>{b}</sup> {c}",
    "note": "{a}[^{b}] {c}",
    "power": "{a}^{b}^{c}",
}
PLACES = {
    "html": [
        lambda text: make_div(text),
        lambda text: f"<p data-bbox='1 2 3 4'>{text}</p>",
        lambda text: f"<ul><li>{text}</li></ul>",
        lambda text: f"<h2>{text}</h2>",
        lambda text: f"<table><tr><td>{text}</td></tr></table>",
        lambda text: f"<table><tr><td rowspan='2'>{text}</td></tr><tr></tr></table>",
        lambda text: f"<table><caption>{text}</caption><tr><td>x</td></tr></table>",
        lambda text: make_div(text, css_class="formula"),
        lambda text: make_div(text, css_class="image caption"),
    ],
    "latex": [
        lambda text: text,
        lambda text: f"\\section{{{text}}}",
        lambda text: f"\\begin{{itemize}}\\item {text}\\end{{itemize}}",
        lambda text: f"\\begin{{tabular}}{{l}} {text} \\\\ \\end{{tabular}}",
        lambda text: f"\\caption{{{text}}}",
    ],
    "markdown": [
        lambda text: text,
        lambda text: f"# {text}",
        lambda text: f"- {text}",
        lambda text: f"| x |\n|---|\n| {text} |\n",
    ],
}
CASES = [
    pytest.param(format, template, place, id=f"{format}-{name}-{index}")
    for format, templates in (("html", HTML), ("latex", LATEX), ("markdown", MARKDOWN))
    for name, template in templates.items()
    for index, place in enumerate(PLACES[format])
]


def write_outputs(page: PageLayout) -> list[str]:
    """Return what loaders write of a page, in each output, and of its elements after a round trip."""
    html = "".join(element.html or "" for element in page.elements)
    again = parse_layout(html, format="html")
    texts = ["\n".join(element.text for element in layout.elements) for layout in (page, again)]
    # Tags keep numbers apart where HTML is shown.
    return [*texts, page.markdown, again.markdown, re.sub(r"<[^<>]*>", " ", html)]


@pytest.mark.parametrize(("format", "template", "place"), CASES)
def test_numbers_are_not_joined(format: str, template: str, place: object) -> None:
    source = template.format(a=12, b=34, c=56)
    page = check_page(parse_layout(place(source), format=format))  # type: ignore[operator, arg-type]
    for output in write_outputs(page):
        found = [number for number in NUMBER.findall(output) if number in ("12", "34", "56")]
        assert sorted(found) == ["12", "34", "56"], output


@given(
    st.lists(
        st.tuples(st.sampled_from([*HTML.values()]), st.integers(10, 99), st.integers(10, 99), st.integers(10, 99)),
        max_size=6,
    ),
    st.sampled_from([" ", "", ", ", "x", "<br>"]),
)
def test_text_has_the_numbers_of_its_parts(parts: list[tuple[str, int, int, int]], separator: str) -> None:
    source = separator.join(template.format(a=a, b=b, c=c) for template, a, b, c in parts)
    numbers = "".join(f"{a}{b}{c}" for _, a, b, c in parts)
    (element,) = check_page(parse_layout(make_div(source))).elements
    found = NUMBER.findall(element.text)
    if all("mroot" not in template for template, *_ in parts):
        assert "".join(found) == numbers
    assert separator == "" or all(len(number) == 2 for number in found)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("10<sup>6</sup>", "10^6"),
        ("10<sup>-6</sup> m<sup>2</sup>", "10^-6 m^2"),
        ("a<sup>n+1</sup>", "a^(n+1)"),
        ("Ca<sup>2+</sup> Na<sup>+</sup>", "Ca^2+ Na+"),
        ("H<sub>2</sub>O, CO<sub>2</sub>, x1<sub>2</sub>, V<sub>DD</sub>", "H2O, CO2, x1_2, V_DD"),
        ("1<sup>st</sup> Qwen<sup>TM</sup> 5<sup>*</sup> 7<sup>[3]</sup>", "1st QwenTM 5* 7[3]"),
        ("3<sup>1</sup>/<sub>2</sub> <sup>1</sup>&frasl;<sub>4</sub>", "3 1/2 1⁄4"),
        ("<sup>1</sup>See page 2", "1 See page 2"),
        ("<del>12.50</del>9.99 <s> old </s>new", "~~12.50~~9.99 ~~old~~ new"),
        ("<math><msqrt><mi>x</mi><mo>+</mo><mn>1</mn></msqrt></math>", "√(x+1)"),
        ("<math><mfrac><mrow><mi>a</mi><mo>+</mo><mi>b</mi></mrow><mi>c</mi></mfrac></math>", "(a+b)/c"),
        ("<math><semantics><mi>x</mi><annotation encoding='tex'>x</annotation></semantics></math>", "x"),
        ("<math><mi>x</mi>", "x"),
    ],
)
def test_raised_lowered_and_struck_text_is_marked(source: str, text: str) -> None:
    page = check_page(parse_layout(make_div(source)))
    assert page.elements[0].text == text
    assert page.markdown == text
