"""A comparison of hostile runs: whatever a model wrote stays text, on the page, in Markdown and on a terminal."""

from __future__ import annotations

import base64
import hashlib
import io
import re
import tracemalloc
from html.parser import HTMLParser
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from rich.console import Console

from harness.log.reader import RunFolder
from harness.report.compare_html import render_comparison_html
from harness.report.compare_json import render_comparison_json
from harness.report.compare_markdown import MAX_BYTES, render_comparison_markdown
from harness.report.compare_model import Comparison, build_comparison
from harness.report.compare_terminal import render_comparison
from harness.report.markdown_text import inline, plain
from tests.unit.report_runs import run as example
from tests.unit.scored_runs import MEASURES, Planted, write_run

HOSTILE: dict[str, str] = {
    **example.HOSTILE,
    "mention": "@everyone see #1, !2, ~3 and GH-4 at https://evil.example or www.evil.example",
    "markdown": "**bold** _it_ [link](https://evil.example) ![pic](https://evil.example/x.png) `code` ~~x~~",
    "table": "a | b | c \\| d",
    "list": "- [ ] task",
    "heading": "# heading",
    "rule": "---",
    "closing": "</pre></details></summary></code>",
    "reference": "[x]: https://evil.example\n\n    code\n\n> quote\n\n1. one",
}
MEGABYTE = "가<&\x00" * 250_000
CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    """Hostile text in every place that a run folder has for text; every sample breaks."""
    folder = tmp_path_factory.mktemp("hostile")
    nasty = " ".join(HOSTILE.values())
    measures = {**MEASURES, "right": {**MEASURES["right"], "label": nasty, "definition": nasty}}

    def run(name: str, broken: bool) -> RunFolder:
        samples = [
            Planted(
                f"{place}{text}"[:300],
                f"bad {text}"[:300] if broken else "correct",
                reply=text,
                question=text,
                expected=[
                    {"name": text, "arguments": {text: {"accept": [text, [text]]}, "n": {"accept": [1]}}}
                ],
                predicted=[{"name": text, "arguments": {text: [text], text + "2": text}}, {"name": None}],
                findings=[{"code": text[:50], "detail": text}],
                tags={"language": text, text[:99]: text},
            )
            for place, text in enumerate(HOSTILE.values())
        ]
        verdict = "bad" if broken else "correct"
        samples.append(
            Planted("megabyte", verdict, reply=MEGABYTE, question=MEGABYTE, predicted=[{"name": MEGABYTE}])
        )
        made = write_run(
            folder / name,
            samples,
            measures=measures,
            engine__adapter=f"adapters/{nasty}".replace("\x00", ""),
            engine__device=nasty + name,
            suite__name=nasty,
        )
        return RunFolder(made)

    return build_comparison([run("a", False), run("b", True)])


class _Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: list[tuple[tuple[str, ...], str]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in ("meta", "link", "br", "line", "circle", "rect", "hr"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append((tuple(self.open), data))


PAGE = frozenset(
    re.findall(
        r"\w+",
        "html head meta title link style body a p main section h1 h2 h3 div span b ul li dl dt dd code pre table caption "
        "thead tbody tr th td svg desc rect line circle details summary article footer",
    )
)


def test_the_page_holds_nothing_of_theirs_but_text(comparison: Comparison) -> None:
    text = render_comparison_html(comparison)
    page = _Page(text)
    assert not page.open
    assert {tag for tag, _ in page.elements} <= PAGE
    for tag, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on")], tag
        assert attributes.get("href", "#") in ("#verdict", "data:,", "#")
        assert "src" not in attributes
        assert attributes.get("style") is None
    assert not CONTROLS.search(text)
    assert "\\u202egnp" in text
    text.encode("utf-8")


def test_the_policy_lets_nothing_load_and_only_its_own_style(comparison: Comparison) -> None:
    text = render_comparison_html(comparison)
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]+)"', text)
    (style,) = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}';")
    assert "script" not in policy
    assert "<script" not in text


def test_the_page_is_bounded_whatever_a_reply_holds(comparison: Comparison) -> None:
    assert len(render_comparison_html(comparison).encode()) < 1_000_000


MARKDOWN = frozenset(
    re.findall(r"\w+", "h3 p strong code table thead tbody tr th td details summary pre ul li blockquote")
)


def test_markdown_of_theirs_is_text(comparison: Comparison) -> None:
    text = render_comparison_markdown(comparison, samples=50)
    assert not CONTROLS.search(text)
    markdown = MarkdownIt("commonmark", {"html": True}).enable("table")
    page = _Page(markdown.render(text))
    assert not page.open
    assert {tag for tag, _ in page.elements} <= MARKDOWN
    assert all(set(attributes) <= {"style"} for _, attributes in page.elements)
    seen = [data for places, data in page.texts if "evil.example" in data]
    assert seen
    for places, data in page.texts:
        loose = not {"code", "pre"} & set(places)
        assert not (loose and re.search(r"[@#!~][\w]", data)), data
        assert not (loose and re.search(r"https?://|www\.", data)), data


def test_each_row_of_a_markdown_table_has_the_cells_of_its_head(comparison: Comparison) -> None:
    text = render_comparison_markdown(comparison, samples=50)
    tables = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    assert len(tables) > 10
    for table in tables:
        assert len({line.count("|") for line in table.splitlines()}) == 1


def test_markdown_fits_into_a_comment(tmp_path: Path) -> None:
    def run(name: str, verdict: str) -> RunFolder:
        samples = [Planted(f"s{at}", verdict, reply="<" * 600, question=">" * 600) for at in range(60)]
        return RunFolder(write_run(tmp_path / name, samples))

    text = render_comparison_markdown(
        build_comparison([run("a", "correct"), run("b", "malformed")]), samples=50
    )
    assert len(text.encode()) <= MAX_BYTES
    assert "more not shown" in text


@pytest.mark.parametrize("name", list(HOSTILE))
def test_one_text_in_a_sentence_and_in_a_name(name: str) -> None:
    markdown = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    for made, allowed in ((plain(HOSTILE[name]), {"p"}), (inline(HOSTILE[name]), {"p", "code"})):
        assert {tag for tag, _ in _Page(markdown.render(made)).elements} <= allowed


def test_no_escape_sequence_reaches_a_terminal(comparison: Comparison) -> None:
    for encoding in ("utf-8", "ascii"):
        raw = io.BytesIO()
        stream = io.TextIOWrapper(raw, encoding=encoding)
        render_comparison(comparison, Console(file=stream, width=120), samples=50)
        stream.flush()
        assert not CONTROLS.search(raw.getvalue().decode(encoding))


def test_json_is_ascii(comparison: Comparison) -> None:
    assert render_comparison_json(comparison).isascii()


def test_memory_grows_by_bytes_a_sample_not_by_records(tmp_path: Path) -> None:
    def peak(many: int) -> int:
        def run(name: str, verdict: str) -> RunFolder:
            samples = (
                # As many clusters in both: the bootstrap's working memory grows with them, up to its own bound.
                Planted(f"s{at}", verdict, reply="x" * 2_000, cluster=f"c{at % 40}")
                for at in range(many)
            )
            return RunFolder(write_run(tmp_path / f"{name}{many}", samples))

        folders = [run("a", "correct"), run("b", "malformed")]
        tracemalloc.start()
        build_comparison(folders)
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return highest

    peak(50)  # what is loaded once
    small, large = peak(1_200), peak(2_700)
    assert (large - small) / 1_500 < 1_200, "two replies and two scores alone are over 8,000 bytes"
