"""The text of HTML, and of the narrative blocks of CDA, by the standard library's parser."""

import re
from html.parser import HTMLParser

_BLOCKS = (
    "article|blockquote|body|br|caption|dd|div|dl|dt|footer|h[1-6]|head|header|hr|html|item|li|list|main|ol|p|paragraph"
    "|pre|section|table|tbody|tfoot|thead|tr|ul"
)
_CELLS = "td|th"
_INLINE = (
    "a|b|big|center|code|col|colgroup|content|del|em|font|i|img|ins|link|mark|meta|s|small|span|strike|strong|sub|sup"
    "|tt|u|[a-z]+:[a-z]+"
)
_UNSEEN = "script|style|title"
# The attributes that are written without a value (HTML 4.01's, and hidden).
_BARE = (
    "border|checked|compact|declare|defer|disabled|hidden|ismap|multiple|nohref|noresize|noshade|nowrap|readonly"
    "|selected"
)
_ATTRIBUTES = rf"\s[^<>=]+=[^<>]*|(?:\s+(?:{_BARE}))*\s*/?"
_TAG = rf"/?(?:{_BLOCKS}|{_CELLS}|{_INLINE}|{_UNSEEN})(?:{_ATTRIBUTES})>"
_ENTITY = r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});"

# "CRP < 5", "a <b and c> d" and <DATE> are no markup.
MARKUP = re.compile(rf"<{_TAG}|{_ENTITY}", re.IGNORECASE)
_NO_TAG = re.compile(rf"<(?!{_TAG}|!--|!doctype\b|!\[CDATA\[|\?xml\b)", re.IGNORECASE)


def html_to_text(html: str) -> str:
    """What a reader sees: entities as characters, a line for each block; no scripts, styles, titles or comments."""
    reader = _Reader()
    reader.feed(_NO_TAG.sub("&lt;", html))
    reader.close()
    return re.sub(r"\s*\n\s*", "\n", "".join(reader.parts)).strip()


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._unseen = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002 - stdlib's
        if re.fullmatch(_UNSEEN, tag):
            self._unseen = tag
        self._break(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag == self._unseen:
            self._unseen = ""
        if re.fullmatch(_CELLS, tag):
            self.parts.append(" ")
        self._break(tag)

    def handle_data(self, data: str) -> None:
        if not self._unseen:
            self.parts.append(data)

    def _break(self, tag: str) -> None:
        if re.fullmatch(_BLOCKS, tag):
            self.parts.append("\n")
