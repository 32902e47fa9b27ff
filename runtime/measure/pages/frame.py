"""What all pages are made of: the frame around them, sections, tiles, tables, definitions.

A page is one file: no script, no font, nothing fetched from anywhere. Text is escaped here;
markup that is ready comes as `Html`.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template

from crispstream.runtime.measure.host import Host

from .words import percent

_FRAME = Path(__file__).with_name("frame.html")
_CODE = re.compile("`([^`\n]+)`")


class Html(str):
    """Markup: its text is escaped already."""

    __slots__ = ()


def text(value: object) -> str:
    """Return a value as markup.

    >>> text("a<b"), text(Html("<b>a</b>")), text(3)
    ('a&lt;b', '<b>a</b>', '3')
    """
    return value if isinstance(value, Html) else escape(str(value))


def prose(said: str) -> Html:
    """Return sentences as markup; what they have in backticks is code.

    >>> prose("`infer` is < 1 ms")
    '<code>infer</code> is &lt; 1 ms'
    """
    return Html(_CODE.sub(r"<code>\1</code>", escape(said)))


def breakable(name: str) -> Html:
    """Return a name as markup; a long one breaks behind its slashes.

    >>> breakable("/body/0/Conv")
    '/body/<wbr>0/<wbr>Conv'
    """
    return Html(escape(name[:1]) + escape(name[1:]).replace("/", "/<wbr>"))


def page(title: str, about: object, sections: Iterable[str], footer: str) -> str:
    """Return a whole page.

    Args:
        title: of the page and above it.
        about: the line below it.
        sections: empty ones are left out.
        footer: the last line.
    """
    return Template(_FRAME.read_text(encoding="utf-8")).substitute(
        title=escape(title),
        heading=escape(title),
        route=text(about),
        body="\n".join(filter(None, sections)),
        footer=escape(footer),
    )


def footer_line(host: Host | None, created: str, kind: str, schema: int) -> str:
    """Return what made a page, when, and of which record."""
    version = "" if host is None else f" {host.packages.get('crispstream', '')}"
    return f"crispstream{version}, {created}, {kind} schema {schema}"


def section(heading: str, content: str, note: str = "") -> str:
    """Return a section with its heading, a note below it, and its content."""
    told = f'<p class="note">{prose(note)}</p>' if note else ""
    return f"<section><h2>{escape(heading)}</h2>{told}{content}</section>"


def notes(lines: Sequence[str]) -> str:
    """Return what a reader must know before anything else; nothing without lines."""
    if not lines:
        return ""
    items = "".join(f"<li>{prose(line)}</li>" for line in lines)
    return f'<section class="notes"><h2>To be known first</h2><ul>{items}</ul></section>'


def tiles(figures: Sequence[tuple[str, str, str]]) -> str:
    """Return the main figures, each (value, unit, what it is)."""
    cells = "".join(
        f'<div class="tile"><b>'
        f"{escape(value)}{f'<small>{escape(unit)}</small>' if unit else ''}</b>"
        f"<span>{escape(label)}</span></div>"
        for value, unit, label in figures
    )
    return f'<section class="tiles" aria-label="Main figures">{cells}</section>'


def legend(*items: tuple[str, str]) -> str:
    """Return the keys of a chart, each (style class, what it stands for)."""
    rows = "".join(f'<li><i class="{kind}"></i>{escape(words)}</li>' for kind, words in items)
    return f'<ul class="legend">{rows}</ul>'


def terms(definitions: Mapping[str, object]) -> str:
    """Return a list of terms and what they stand for."""
    items = (
        f"<dt>{escape(term)}</dt><dd>{prose(said) if type(said) is str else text(said)}</dd>"
        for term, said in definitions.items()
    )
    return f"<dl>{''.join(items)}</dl>"


def table(
    heads: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    words: Collection[str] = (),
    last: Sequence[object] | None = None,
    kind: str = "",
) -> str:
    """Return a table whose first column heads the rows.

    Args:
        heads: of the columns.
        rows: of cells.
        words: heads of the columns of words: those are read from the left and wrap, figures
            stand at the right.
        last: a row of sums.
        kind: style classes of the table. `many`: it has more columns than a telephone is wide, so
            that each row becomes a card there, whose cells have their heads beside them.
    """
    styles = [' class="words"' if head in words else "" for head in heads]
    top = "".join(
        f'<th scope="col"{style if index else ""}>{escape(head)}</th>'
        for index, (head, style) in enumerate(zip(heads, styles, strict=True))
    )
    if "many" in kind.split():
        named = zip(styles, heads, strict=True)
        styles = [f'{style} data-head="{escape(head)}"' for style, head in named]
    body = "".join(_row(cells, styles) for cells in rows)
    if last is not None:
        body += _row(last, styles, ' class="sum"')
    style = f' class="{kind}"' if kind else ""
    return (
        f'<div class="scroll" tabindex="0"><table{style}><thead><tr>{top}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _row(cells: Sequence[object], attributes: Sequence[str], kind: str = "") -> str:
    first, *rest = cells
    told = "".join(
        f"<td{more}>{text(cell)}</td>" for cell, more in zip(rest, attributes[1:], strict=True)
    )
    return f'<tr{kind}><th scope="row">{text(first)}</th>{told}</tr>'


def host_terms(host: Host) -> dict[str, object]:
    """Return what a record was measured on."""
    gpu = {"GPU": f"{host.gpu}, driver {host.driver}"} if host.gpu else {}
    return {
        "processor": f"{host.processor}; {host.cores} cores usable",
        **gpu,
        "system": f"{host.system}, Python {host.python}",
        "versions": ", ".join(f"{name} {version}" for name, version in host.packages.items()),
    }


def share_bar(share: float) -> Html:
    """Return a share with a small bar beside it."""
    width = 100 * min(max(share, 0.0), 1.0)
    return Html(
        f'<span class="share"><i style="width:{width:.1f}%"></i></span>{escape(percent(share))}'
    )
