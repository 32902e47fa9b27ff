"""What all pages are made of: the frame around them, sections, tiles, tables, definitions.

A page is one file: no script, no font, nothing fetched from anywhere. Text is escaped here;
markup that is ready comes as `Html`.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template

from crispstream.runtime.measure.host import Host

from .words import percent

_FRAME = Path(__file__).with_name("frame.html")


class Html(str):
    """Markup: its text is escaped already."""

    __slots__ = ()


def text(value: object) -> str:
    """Return a value as markup.

    >>> text("a<b"), text(Html("<b>a</b>")), text(3)
    ('a&lt;b', '<b>a</b>', '3')
    """
    return value if isinstance(value, Html) else escape(str(value))


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
    told = f'<p class="note">{escape(note)}</p>' if note else ""
    return f"<section><h2>{escape(heading)}</h2>{told}{content}</section>"


def notes(lines: Sequence[str]) -> str:
    """Return what a reader must know before anything else; nothing without lines."""
    if not lines:
        return ""
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f'<section class="notes"><h2>To be known first</h2><ul>{items}</ul></section>'


def tiles(figures: Sequence[tuple[str, str, str]]) -> str:
    """Return the main figures, each (value, unit, what it is)."""
    cells = "".join(
        f'<div class="tile{" wide" if index == len(figures) - 1 and index % 2 == 0 else ""}">'
        f"<b>{escape(value)}{f'<small>{escape(unit)}</small>' if unit else ''}</b>"
        f"<span>{escape(label)}</span></div>"
        for index, (value, unit, label) in enumerate(figures)
    )
    return f'<section class="tiles" aria-label="Main figures">{cells}</section>'


def legend(*items: tuple[str, str]) -> str:
    """Return the keys of a chart, each (style class, what it stands for)."""
    rows = "".join(f'<li><i class="{kind}"></i>{escape(words)}</li>' for kind, words in items)
    return f'<ul class="legend">{rows}</ul>'


def terms(definitions: Mapping[str, object]) -> str:
    """Return a list of terms and what they stand for."""
    items = (f"<dt>{escape(term)}</dt><dd>{text(said)}</dd>" for term, said in definitions.items())
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
        kind: style class of the table.
    """
    styles = [' class="words"' if head in words else "" for head in heads]
    top = "".join(
        f'<th scope="col"{style if index else ""}>{escape(head)}</th>'
        for index, (head, style) in enumerate(zip(heads, styles, strict=True))
    )
    body = "".join(_row(cells, styles) for cells in rows)
    if last is not None:
        body += _row(last, styles, ' class="sum"')
    style = f' class="{kind}"' if kind else ""
    return (
        f'<div class="scroll" tabindex="0"><table{style}><thead><tr>{top}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _row(cells: Sequence[object], styles: Sequence[str], kind: str = "") -> str:
    first, *rest = cells
    told = "".join(
        f"<td{style}>{text(cell)}</td>" for cell, style in zip(rest, styles[1:], strict=True)
    )
    return f'<tr{kind}><th scope="row">{text(first)}</th>{told}</tr>'


def host_terms(host: Host) -> dict[str, object]:
    """Return what a record was measured on."""
    return {
        "processor": f"{host.processor}; {host.cores} cores usable",
        "system": f"{host.system}, Python {host.python}",
        "versions": ", ".join(f"{name} {version}" for name, version in host.packages.items()),
    }


def share_bar(share: float) -> Html:
    """Return a share with a small bar beside it."""
    width = 100 * min(max(share, 0.0), 1.0)
    return Html(
        f'<span class="share"><i style="width:{width:.1f}%"></i></span>{escape(percent(share))}'
    )
