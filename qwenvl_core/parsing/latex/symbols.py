r"""List the LaTeX commands for letters, accents and signs, such as `\ss`, `\'e` and `\pounds`."""

from __future__ import annotations

import unicodedata

ACCENTS = {
    "\\`": "\u0300", "\\'": "\u0301", "\\^": "\u0302", "\\~": "\u0303", "\\=": "\u0304", "\\u": "\u0306",
    "\\.": "\u0307", '\\"': "\u0308", "\\r": "\u030a", "\\H": "\u030b", "\\v": "\u030c", "\\d": "\u0323",
    "\\c": "\u0327", "\\k": "\u0328", "\\b": "\u0331",
}  # fmt: skip
"""The combining character of each command that puts an accent on the next letter."""

LETTERS = {
    "\\ss": "ß", "\\SS": "ẞ", "\\ae": "æ", "\\AE": "Æ", "\\oe": "œ", "\\OE": "Œ", "\\o": "ø", "\\O": "Ø", "\\aa": "å",
    "\\AA": "Å", "\\l": "ł", "\\L": "Ł", "\\i": "ı", "\\j": "ȷ", "\\dh": "ð", "\\DH": "Ð", "\\dj": "đ", "\\DJ": "Đ",
    "\\th": "þ", "\\TH": "Þ", "\\ng": "ŋ", "\\NG": "Ŋ",
}  # fmt: skip
"""The letter of each command; a space after the command is not shown."""

SIGNS = {
    "\\degree": "°", "\\textdegree": "°", "\\celsius": "°C", "\\textcelsius": "°C", "\\pounds": "£",
    "\\textsterling": "£", "\\euro": "€", "\\texteuro": "€", "\\EUR": "€", "\\yen": "¥", "\\textyen": "¥",
    "\\textcent": "¢", "\\textwon": "₩", "\\textdollar": "$", "\\S": "§", "\\textsection": "§", "\\P": "¶",
    "\\textparagraph": "¶", "\\copyright": "©", "\\textcopyright": "©", "\\textregistered": "®",
    "\\texttrademark": "™", "\\dag": "†", "\\ddag": "‡", "\\textdagger": "†", "\\textdaggerdbl": "‡",
    "\\checkmark": "✓", "\\cmark": "✓", "\\xmark": "✗", "\\CheckedBox": "☑", "\\XBox": "☒", "\\Square": "☐",
    "\\textbullet": "•", "\\textperiodcentered": "·", "\\textendash": "–", "\\textemdash": "—", "\\textellipsis": "…",
    "\\textquotedblleft": "“", "\\textquotedblright": "”", "\\textquoteleft": "‘", "\\textquoteright": "’",
    "\\textquotesingle": "'", "\\textquotedbl": '"', "\\guillemotleft": "«", "\\guillemotright": "»",
    "\\textexclamdown": "¡", "\\textquestiondown": "¿", "\\slash": "/", "\\textasteriskcentered": "∗",
    "\\textunderscore": "_", "\\textbraceleft": "{", "\\textbraceright": "}", "\\textmu": "µ", "\\textohm": "Ω",
    "\\textpm": "±", "\\texttimes": "×", "\\textdiv": "÷", "\\textminus": "−", "\\textonehalf": "½",
    "\\textonequarter": "¼", "\\textthreequarters": "¾", "\\textordfeminine": "ª", "\\textordmasculine": "º",
    "\\textnumero": "№", "\\textpertenthousand": "‱", "\\textperthousand": "‰", "\\textrightarrow": "→",
    "\\textleftarrow": "←", "\\LaTeX": "LaTeX", "\\TeX": "TeX",
}  # fmt: skip
"""The sign of each command."""

MATH_SIGNS = {
    "circ": "°", "degree": "°", "prime": "′", "checkmark": "✓", "surd": "✓", "times": "×", "pm": "±", "mp": "∓",
    "div": "÷", "cdot": "·", "bullet": "•", "pounds": "£", "euro": "€", "yen": "¥", "to": "→", "rightarrow": "→",
    "leftarrow": "←", "leftrightarrow": "↔", "uparrow": "↑", "downarrow": "↓", "Rightarrow": "⇒", "square": "☐",
    "Box": "☐", "boxtimes": "☒", "le": "≤", "leq": "≤", "ge": "≥", "geq": "≥", "neq": "≠", "approx": "≈", "sim": "∼",
    "infty": "∞", "dagger": "†", "ddagger": "‡", "star": "⋆", "ast": "∗", "lt": "<", "gt": ">", "mu": "µ", "Omega": "Ω",
}  # fmt: skip
"""The sign of each command that stands alone in a formula, such as `$\\times$`."""

DINGBATS = {
    "51": "✓",
    "52": "✔",
    "53": "✕",
    "54": "✖",
    "55": "✗",
    "56": "✘",
    "108": "●",
    "109": "❍",
    "110": "■",
    "111": "❏",
}
r"""The sign of each number of `\ding`."""


def add_accent(letter: str, accent: str) -> str:
    """Return a letter with a combining character, as one character where there is one."""
    base = {"ı": "i", "ȷ": "j"}.get(letter, letter)
    return unicodedata.normalize("NFC", base + accent)
