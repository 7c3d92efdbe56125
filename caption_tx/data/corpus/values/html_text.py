"""HTML as text, as catalogues and wikis write it into descriptions."""

from __future__ import annotations

from html.parser import HTMLParser

_BLOCKS = frozenset(("p", "div", "br", "li", "ul", "ol", "dl", "dt", "dd", "td", "th", "tr", "table", "h1", "h2", "h3"))
_HIDDEN = frozenset(("script", "style", "template"))
_VOID = frozenset(("br", "hr", "img", "wbr", "input", "meta", "link", "col"))


def html_text(text: str) -> str:
    """A text without tags, with entities decoded; a block begins with a space. Text without HTML stays as it is.

    Example:
        >>> html_text('<p>a <a href="/x">dog</a> &amp; a cat</p>'), html_text("a < b")
        ('a dog & a cat', 'a < b')
    """
    return " ".join(" ".join(text for _, text in html_parts(text)).split())


def html_parts(text: str) -> list[tuple[str, str]]:
    """The texts of HTML with the language of the element that each is in, "" without one.

    The name of the language that wikis write before a text is left out.

    Example:
        >>> html_parts('<div lang="en"><span class="language en"><b>English:</b></span> a dog</div>')
        [('en', 'a dog')]
    """
    parser = _Parser()
    parser.feed(text)
    parser.close()
    joined: dict[str, str] = {}
    for language, part in parser.parts:
        joined[language] = joined.get(language, "") + part
    return [(language, " ".join(part.split())) for language, part in joined.items() if part.strip()]


class _Parser(HTMLParser):
    """Collects texts with their languages."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[tuple[str, str]] = []
        self._open: list[tuple[str, str, bool]] = [("", "", False)]  # tag, language, whether its text is hidden

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        _, language, is_hidden = self._open[-1]
        if tag in _BLOCKS:
            self.parts.append((language, " "))
        if tag in _VOID:
            return
        values = dict(attrs)
        is_label = tag == "span" and "language" in (values.get("class") or "").split()
        if not is_label and tag in ("div", "p", "li", "dd", "td"):
            language = values.get("lang") or language
        self._open.append((tag, language, is_hidden or is_label or tag in _HIDDEN))

    def handle_endtag(self, tag: str) -> None:
        if tag in _BLOCKS:
            self.parts.append((self._open[-1][1], " "))
        if any(tag == name for name, _, _ in self._open[1:]):
            while self._open.pop()[0] != tag:
                pass

    def handle_data(self, data: str) -> None:
        _, language, is_hidden = self._open[-1]
        if not is_hidden:
            self.parts.append((language, data))
