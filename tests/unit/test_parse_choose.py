"""Which dialect a template means, and that every code is documented."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.parse.choose import dialect_for_template, get_dialect
from harness.parse.codes import ERROR_CODES, NOTE_CODES, PARSE_CODES, SHAPE_CODES

DOCS = Path(__file__).parents[2] / "docs" / "dialects.md"
LLAMA = (
    'Respond in the format {"name": function name, "parameters": dictionary of argument name and its value}.'
)


@pytest.mark.parametrize(
    ("template", "name"),
    [
        (None, "hermes"),
        ("", "hermes"),
        ("{% for message in messages %}{{ message.content }}{% endfor %}", "hermes"),
        ("{%- if tools %}... <tool_call></tool_call> ...{% endif %}", "hermes"),
        (f"{{% if tools %}}{LLAMA}{{% endif %}}", "bare_json"),
        (LLAMA.replace('"', '\\"'), "bare_json"),
        (f"{LLAMA} or <tool_call>", "hermes"),
    ],
)
def test_the_template_decides(template: str | None, name: str) -> None:
    assert dialect_for_template(template) == name
    assert get_dialect(name).name == name


def test_an_unknown_name_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="hermess"):
        get_dialect("hermess")


def test_codes_are_of_one_kind_and_documented_once() -> None:
    assert len(PARSE_CODES) == len(NOTE_CODES) + len(SHAPE_CODES) + len(ERROR_CODES)
    rows = re.findall(
        r"^\| `([a-z_]+)` \|", DOCS.read_text(encoding="utf-8").partition("## Codes")[2], re.MULTILINE
    )
    assert sorted(rows) == sorted(PARSE_CODES)
