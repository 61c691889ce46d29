"""What a notebook shows of an object: a table in HTML, escaped, without scripts and links."""

from collections.abc import Iterable, Sequence


def card(title: str, pairs: Iterable[tuple[str, object]]) -> str:
    """A table of names and values; those that are None or empty are left out."""
    rows = "".join(
        f'<tr><th style="text-align:left">{escaped(name)}</th>'
        f'<td style="text-align:left">{escaped(value)}</td></tr>'
        for name, value in pairs
        if value is not None and value != ""
    )
    return f"<table><caption>{escaped(title)}</caption>{rows}</table>"


def grid(title: str, head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table with a head."""
    names = "".join(f"<th>{escaped(name)}</th>" for name in head)
    body = "".join(
        "<tr>" + "".join(f'<td style="text-align:left">{escaped(cell)}</td>' for cell in row) + "</tr>"
        for row in rows
    )
    return f"<table><caption>{escaped(title)}</caption><tr>{names}</tr>{body}</table>"


def escaped(value: object) -> str:
    """A value as text that is nothing but text, control characters and surrogates spelled out."""
    import html  # noqa: PLC0415 - few show anything

    text = "".join(
        each if each.isprintable() else each.encode("unicode_escape", "surrogatepass").decode()
        for each in str(value)
    )
    return html.escape(text)
