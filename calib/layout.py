"""The frame of every HTML page of calib, and its parts: no script, nothing fetched."""

import base64
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from html import escape
from pathlib import Path
from string import Template

_FRAME = Path(__file__).with_name("layout.html")


def page(title: str, summary: str, sections: Sequence[str], footer: str = "") -> str:
    """Return a page; empty sections are left out, and the footer begins with the time."""
    made = datetime.now(timezone.utc).isoformat(timespec="seconds")
    return Template(_FRAME.read_text(encoding="utf-8")).substitute(
        title=escape(title),
        summary=escape(summary),
        body="\n".join(one for one in sections if one),
        footer=escape(", ".join(filter(None, (made, footer)))),
    )


def section(title: str, note: str, content: str) -> str:
    """Return a section; `content` is HTML, the other two are text."""
    told = f'<p class="note">{escape(note)}</p>' if note else ""
    return f"<section><h2>{escape(title)}</h2>{told}{content}</section>"


def terms(meanings: Mapping[str, str]) -> str:
    """Return what words mean as a list."""
    items = "".join(f"<dt>{escape(w)}</dt><dd>{escape(m)}</dd>" for w, m in meanings.items())
    return f'<dl class="terms">{items}</dl>'


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table whose first column holds names; all cells are text."""
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "".join(f"<tr>{_row(row)}</tr>" for row in rows)
    whole = f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="scroll">{whole}</div>'


def _row(row: Sequence[str]) -> str:
    return f"<th>{escape(row[0])}</th>" + "".join(f"<td>{escape(cell)}</td>" for cell in row[1:])


def embedded(picture: bytes, kind: str) -> str:
    """Return a picture of "png" or "jpeg" as an address that carries it."""
    return f"data:image/{kind};base64,{base64.b64encode(picture).decode()}"
