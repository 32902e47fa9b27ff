"""HTML as tests look at it: whether it is well formed, and what it shows and asks for."""

import re
from html.parser import HTMLParser

VOID = {"meta", "br", "link", "img", "input", "hr", "wbr"}


class Markup(HTMLParser):
    """Checks that tags close in order, and gathers what a page refers to and shows."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.references: list[str] = []
        self.tags: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        values = dict(attrs)
        self.ids += [values["id"] or ""] if "id" in values else []
        self.references += [values[key] or "" for key in ("href", "src") if key in values]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def self_contained(html: str) -> Markup:
    """Check that a page is well formed, runs no script and fetches nothing; return it."""
    page = Markup(html)
    assert page.open == []
    assert page.references == []
    assert "script" not in page.tags
    assert not re.search(r"https?:|url\(|@import", html)
    assert len(page.ids) == len(set(page.ids))
    assert not re.search(r"\b(nan|inf|None)\b", html), "a figure that is none"
    return page


def plain(html: str) -> str:
    """The page without the heads that cells of wide tables have for narrow screens."""
    return re.sub(r' data-head="[^"]*"', "", html)
