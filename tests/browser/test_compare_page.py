"""A comparison's page in a real browser: hostile replies run nothing and load nothing, it fits a phone, axe finds nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.log.reader import RunFolder
from harness.report.compare_html import render_comparison_html
from harness.report.compare_model import build_comparison
from tests.browser.conftest import PHONE, WIDE, Open
from tests.unit.report_runs import HOSTILE
from tests.unit.scored_runs import MEASURES, Planted, write_run

GOLD = [{"name": "add_load", "arguments": {"node": {"accept": [5]}, "value": {"accept": [20]}}}]
WRONG = [{"name": "add_load", "arguments": {"node": 6, "value": 20}}]


def _pages(folder: Path, text: str, **changes: Any) -> str:
    """Return the page of three runs of 12 samples with `text` wherever a run folder has text; many break."""

    def run(name: str, wrong: int) -> RunFolder:
        samples = [
            Planted(
                f"{place} {text}"[:150],
                f"bad {text}"[:150] if place % wrong == 0 else "correct",
                reply=f"{text} {name}",
                question=text,
                expected=GOLD,
                predicted=[*WRONG, {"name": text, "arguments": {text: [text]}}],
                findings=[{"code": text[:60], "detail": text}],
                tags={"language": "ko", text[:60]: text},
                cluster=f"c{place}",
            )
            for place in range(12)
        ]
        measures = {**MEASURES, "right": {**MEASURES["right"], "label": text, "definition": text}}
        return RunFolder(write_run(folder / name, samples, measures=measures, **changes))

    return render_comparison_html(build_comparison([run("a", 12), run("b", 1), run("c", 5)]))


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> str:
    return _pages(tmp_path_factory.mktemp("plain"), "절점 5번에 20kN 하중을 넣어줘")


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> str:
    text = HOSTILE + " " + "W" * 500 + "\u202e\x1b[2J\ud800"
    return _pages(tmp_path_factory.mktemp("hostile"), text, suite__name=text, engine__device=text)


@pytest.fixture(params=["plain", "hostile"])
def page(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(request.param))


def _axe(opened: Any) -> list[str]:
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed"
    )
    rules = {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}
    found = axe.Axe().run(opened.page, options={"runOnly": rules, "resultTypes": ["violations"]})
    return [f"{one['id']}: {one['nodes'][0]['html'][:200]}" for one in found.response["violations"]]


@pytest.mark.parametrize(("viewport", "theme"), [(WIDE, "light"), (PHONE, "dark")], ids=["wide", "phone"])
def test_axe_finds_nothing(open_page: Open, page: str, viewport: dict[str, int], theme: str) -> None:
    opened = open_page(page, viewport=viewport, theme=theme)
    opened.unfold()
    assert _axe(opened) == []


@pytest.mark.parametrize("viewport", [WIDE, PHONE], ids=["wide", "phone"])
def test_nothing_runs_nothing_leaves_and_the_layout_holds(
    open_page: Open, page: str, viewport: dict[str, int]
) -> None:
    opened = open_page(page, viewport=viewport)
    opened.unfold()
    opened.page.mouse.wheel(0, 100_000)
    opened.page.wait_for_timeout(200)
    assert (opened.dialogs, opened.requests, opened.windows, opened.complaints) == ([], [], [], [])
    assert opened.page.evaluate("document.scripts.length + document.images.length") == 0
    width = opened.page.evaluate("document.documentElement.scrollWidth")
    assert width <= viewport["width"], "nothing is wider than the screen"


def test_it_reads_without_script_broken_samples_first(open_page: Open, plain: str) -> None:
    opened = open_page(plain, script=False)
    text = opened.page.locator("main").inner_text()
    assert "WORSE" in text
    assert (
        text.index("Differences") < text.index("What became of the samples") < text.index("Changed samples")
    )
    kinds = opened.page.locator("article .kind").all_inner_texts()
    assert "broken" in kinds[0]


def test_what_is_planted_is_found(open_page: Open, plain: str) -> None:
    """The checks above can fail: a script that got in is stopped and said, a missing language is found."""
    opened = open_page(plain.replace("<main>", "<main><script>alert(1)</script>", 1))
    assert opened.dialogs == []
    assert any("Content Security Policy" in said for said in opened.complaints)
    assert _axe(open_page(plain.replace('<html lang="en">', "<html>", 1)))
