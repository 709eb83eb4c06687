"""What every page has in common: assets by name, hashes for the content-security policy, safe text, numbers as text.

Three walls against hostile text: every value is escaped, every hidden character is shown as an escape (in
`finalize`, so that no template can forget it), and the page's content-security policy names the hashes of its own
script and style sheet, so that nothing else could run or load.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup, escape

from harness.report import text
from harness.report.text import Clipped, segments, visible


@cache
def asset(name: str) -> str:
    """Return a file of harness/report/assets as text, with line feeds alone."""
    return (files("harness.report") / "assets" / name).read_text(encoding="utf-8").replace("\r\n", "\n")


def _policy_source(content: str) -> str:
    """Return a content-security-policy source that allows exactly this inline text."""
    digest = hashlib.sha256(content.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"


def policy(style: str, script: str | None = None, *, form: str = "'none'") -> str:
    """Return the content-security policy of a page that holds this style sheet and script and loads nothing."""
    parts = ["default-src 'none'", f"style-src {_policy_source(style)}", "img-src data:"]
    parts += [f"script-src {_policy_source(script)}"] if script is not None else []
    return "; ".join([*parts, "base-uri 'none'", f"form-action {form}"])


def _finalize(value: Any) -> Any:
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def marked(value: str | Clipped) -> Markup:
    """Return text for an element's content, its escapes set apart and its cut-off end announced."""
    content = value.text if isinstance(value, Clipped) else value
    parts = [
        Markup('<span class="esc">{}</span>').format(shown) if is_escape else escape(shown)
        for is_escape, shown in segments(content)
    ]
    if isinstance(value, Clipped) and value.omitted:
        note = Markup(' <span class="cut">… the first {} of {} characters</span>')
        parts.append(note.format(text.count(len(value.text)), text.count(value.total)))
    return Markup("").join(parts)


_FILTERS: Mapping[str, Callable[..., Any]] = {
    "marked": marked,
    "count": text.count,
    "percent": text.percent,
    "seconds": text.seconds,
    "one_line": text.one_line,
}


def page_environment(filters: Mapping[str, Callable[..., Any]], names: Mapping[str, Any]) -> Environment:
    """Return an environment whose templates are assets and whose every value is escaped and made visible.

    `filters` and `names` come on top of what writes numbers and text on every page.
    """
    environment = Environment(
        loader=FunctionLoader(asset),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(_FILTERS)
    environment.filters.update(filters)
    environment.globals.update(names, plural=text.plural)
    return environment
