"""Scorecards in a real browser: nothing runs, nothing leaves, nothing overflows, and axe finds nothing at WCAG 2.1 AA."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from harness.report.html import render_html
from harness.report.model import build_scorecard
from harness.report.side_by_side import side_by_side
from harness.report.side_by_side_html import render_side_by_side
from harness.report.training_source import Training
from harness.report.view.index import IndexReader
from harness.report.view.page import render_index
from harness.training.diagnosis import RunFacts, diagnose
from tests.browser.conftest import PHONE, WIDE, Open
from tests.unit.report_runs import HOSTILE, against_of, difference, run, two_runs, write_run

CLEAR = [
    difference("tool_name_accuracy", 0.1, 0.02, 0.18, 0.001),
    difference("parameter_accuracy", -0.1, -0.18, -0.02, 0.001),
    difference("json_validity", 0.01, -0.02, 0.04, 0.6),
]
ORIGIN = {
    "base": HOSTILE,
    "recipe": {"name": HOSTILE},
    "data": {"train": {"file": HOSTILE, "rows": 3}},
    "step": 2,
}
SWEEP = {
    "verdict": "SHIP",
    "sentence": HOSTILE,
    "chosen": "checkpoint-2",
    "columns": [{"name": "m", "label": HOSTILE, "share": True}],
    "rows": [
        {"name": "checkpoint-2", "step": 2, "rates": {"m": {"value": 0.5, "low": 0.4, "high": 0.6, "n": 50}}}
    ],
}


def _training() -> Training:
    entries = [{"step": step, "epoch": step / 20, "loss": 2 - step / 20} for step in range(1, 41)]
    entries += [{"step": step, "epoch": step / 20, "eval_loss": 2 - step / 30} for step in (10, 20, 30, 40)]
    return Training(name="checkpoint-2", origin=ORIGIN, diagnosis=diagnose(entries, RunFacts()), sweep=SWEEP)


def _card(hostile: bool) -> Any:
    """Return a card with every section: baseline, gates, repeats, training."""
    header, total, pairs = run.example(hostile=hostile)
    first, _ = two_runs(run.PLAN[::-1], run.PLAN)
    text = HOSTILE if hostile else "Tool name accuracy is at least 90 %."
    gates = [
        {
            "name": f"gate_{verdict}",
            "sentence": text,
            "reason": text,
            "verdict": verdict,
            "observed": 0.8,
            "bound": 0.9,
        }
        for verdict in ("pass", "fail", "cannot_tell", "?")
    ]
    again = [({**score, "repeat": 1}, {**generation, "repeat": 1}) for score, generation in pairs[:30]]
    return build_scorecard(
        {**header, "repeats": 2},
        total,
        [*pairs, *again],
        against=against_of(first, CLEAR, {"tool_name_accuracy": 0.01}),
        gates={"gates": gates, "file": text},
        training=_training(),
    )


@cache
def whole() -> str:
    return render_html(_card(False))


@cache
def hostile() -> str:
    return render_html(_card(True))


@cache
def unfinished() -> str:
    pairs = run.example()[2][15:35]
    return render_html(
        build_scorecard(run.header("interrupted"), run.summary(pairs, "interrupted", 40), pairs)
    )


@cache
def several() -> str:
    return render_side_by_side(side_by_side([_card(False), _card(False), _card(True)]))


@pytest.fixture
def index(tmp_path: Path) -> str:
    root = tmp_path / "reports"
    for day in range(1, 6):
        write_run(root / f"run-{day}", day=day, name=f"model-{day % 2}")
    write_run(root / "hostile", day=7, name=HOSTILE.replace("/", "|"))
    return render_index(IndexReader(root).read())


PAGES: dict[str, Callable[[], str]] = {
    "whole": whole,
    "hostile": hostile,
    "unfinished": unfinished,
    "several": several,
}


@pytest.fixture(params=[*PAGES, "index"])
def page(request: pytest.FixtureRequest, index: str) -> str:
    return index if request.param == "index" else PAGES[request.param]()


def _axe(opened: Any) -> list[str]:
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed"
    )
    rules = {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}
    found = axe.Axe().run(opened.page, options={"runOnly": rules, "resultTypes": ["violations"]})
    return [
        f"{one['id']}: {one['nodes'][0]['html'][:200]} ({len(one['nodes'])} places) {one['nodes'][0]['failureSummary']}"
        for one in found.response["violations"]
    ]


@pytest.mark.parametrize("viewport", [WIDE, PHONE], ids=["wide", "phone"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing(open_page: Open, page: str, viewport: dict[str, int], theme: str) -> None:
    opened = open_page(page, viewport=viewport, theme=theme)
    opened.unfold()
    assert _axe(opened) == []


def test_axe_finds_what_is_planted(open_page: Open) -> None:
    bad = (
        whole()
        .replace("--soft: #555d66", "--soft: #bbbbbb")
        .replace('<th scope="row"', '<th scope="row" role="foo"')
    )
    found = " ".join(_axe(open_page(bad)))
    assert "aria-roles" in found


@pytest.mark.parametrize("viewport", [WIDE, PHONE], ids=["wide", "phone"])
def test_nothing_runs_and_nothing_leaves(open_page: Open, page: str, viewport: dict[str, int]) -> None:
    opened = open_page(page, viewport=viewport)
    opened.unfold()
    opened.page.evaluate(
        "document.querySelectorAll('[onmouseover], [onerror]').forEach((one) => one.click())"
    )
    opened.page.mouse.wheel(0, 100_000)
    opened.page.wait_for_timeout(200)
    assert opened.dialogs == []
    assert opened.requests == []
    assert opened.windows == []
    assert opened.complaints == [], "no error, and no violation of the page's own policy"
    assert (
        opened.page.evaluate(
            "document.querySelectorAll('img, iframe, object, embed, link[rel=stylesheet]').length"
        )
        == 0
    )


def test_a_script_that_did_get_in_would_not_run(open_page: Open) -> None:
    planted = whole().replace(
        "<main>",
        '<main><script>alert("in")</script><img src="https://example.org/x.png" onerror="alert(2)">',
        1,
    )
    opened = open_page(planted)
    assert opened.dialogs == []
    assert any("Content Security Policy" in said for said in opened.complaints), (
        "the browser says what it stopped"
    )


@pytest.mark.parametrize("viewport", [WIDE, PHONE], ids=["wide", "phone"])
def test_the_layout_holds(open_page: Open, page: str, viewport: dict[str, int]) -> None:
    opened = open_page(page, viewport=viewport)
    opened.unfold()
    width = opened.page.evaluate("document.documentElement.scrollWidth")
    assert width <= viewport["width"], "nothing is wider than the screen"
    covered = opened.page.evaluate(
        """() => [...document.querySelectorAll('section')].filter((one, at, all) => {
            const next = all[at + 1];
            return next && one.getBoundingClientRect().bottom > next.getBoundingClientRect().top + 1;
        }).length"""
    )
    assert covered == 0, "no section lies over the next"


BROKEN_WORDS = """() => [...document.querySelectorAll('thead th, td.mark, .index td')].filter((cell) => {
    const head = cell.closest('thead');
    if (head && getComputedStyle(head).position === 'absolute') return false;
    const range = document.createRange();
    range.selectNodeContents(cell);
    const lines = Math.round(range.getBoundingClientRect().height / parseFloat(getComputedStyle(cell).lineHeight));
    return lines > cell.innerText.trim().split(/[\\s–-]+/).length;
}).map((cell) => cell.innerText)"""


@pytest.mark.parametrize("media", ["screen", "print"])
@pytest.mark.parametrize("width", [360, 718, 1040, 1280], ids=["phone", "paper", "tablet", "wide"])
@pytest.mark.parametrize("name", ["whole", "index"])
def test_no_column_is_so_narrow_that_words_break(
    open_page: Open, tmp_path: Path, width: int, name: str, media: str
) -> None:
    for day in range(1, 4):
        write_run(tmp_path / "runs" / f"run-{day}", day=day)
    html = whole() if name == "whole" else render_index(IndexReader(tmp_path / "runs").read())
    opened = open_page(html, viewport={"width": width, "height": 900})
    opened.page.emulate_media(media=media)
    opened.unfold()
    assert opened.page.evaluate(BROKEN_WORDS) == []
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= width


def test_it_reads_without_script(open_page: Open) -> None:
    opened = open_page(whole(), script=False)
    text = opened.page.locator("body").inner_text()
    for part in ("Is it better?", "What broke?", "Which checkpoint to ship?", "structural-test-0001"):
        assert part in text
    assert opened.page.locator("#filters").is_hidden()
    opened.page.locator("article summary").nth(1).click()
    assert opened.page.locator("article details").nth(1).get_attribute("open") is not None


def test_the_keyboard_reaches_the_verdict_and_opens_samples(open_page: Open) -> None:
    opened = open_page(whole())
    opened.page.keyboard.press("Tab")
    assert opened.page.evaluate("document.activeElement.className") == "skip"
    opened.page.keyboard.press("Enter")
    assert opened.page.evaluate("document.activeElement.id") == "verdict"
    summary = opened.page.locator("article summary").nth(3)
    summary.focus()
    opened.page.keyboard.press("Enter")
    assert opened.page.locator("article details").nth(3).get_attribute("open") is not None
    outline = opened.page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline != "none", "where the focus is can be seen"


def test_filters_search_theme_and_links_to_samples(open_page: Open) -> None:
    opened = open_page(whole())
    page = opened.page
    total = page.locator("article.sample").count()
    page.locator('select[data-filter="change"]').select_option("broken")
    assert 0 < page.locator("article.sample:visible").count() < total
    page.locator('select[data-filter="change"]').select_option("")
    page.locator("input[data-search]").fill("structural-test-0003")
    assert page.locator("article.sample:visible").count() < total
    page.locator("#theme").click()
    assert page.locator("html").get_attribute("data-theme") == "light"
    page.locator("input[data-search]").fill("")
    page.goto(f"{opened.address}#sample=structural-test-0003")
    page.wait_for_timeout(100)
    target = page.locator('[id="sample=structural-test-0003"]')
    assert target.is_visible()


def test_korean_text_breaks_between_words_and_has_its_language(open_page: Open) -> None:
    opened = open_page(whole(), viewport=PHONE)
    opened.unfold()
    found = opened.page.evaluate(
        """() => { const one = document.querySelector('.quote[lang=ko]');
        const style = getComputedStyle(one); return [style.wordBreak, one.textContent]; }"""
    )
    assert found[0] == "keep-all"
    assert "하중" in found[1]


def test_printing_shows_the_page_without_its_controls(open_page: Open) -> None:
    opened = open_page(whole())
    opened.page.emulate_media(media="print")
    assert opened.page.locator(".filters").is_hidden()
    assert opened.page.locator("#theme").is_hidden()
    assert len(opened.page.pdf()) > 20_000


@pytest.mark.network
def test_the_server_in_a_browser(open_page: Open, tmp_path: Path) -> None:
    from harness.report.view.server import ViewServer

    root = tmp_path / "reports"
    for day in (1, 2):
        write_run(root / f"run-{day}", day=day, name=HOSTILE.replace("/", "|") if day == 2 else "one")
    with ViewServer(root, 0) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        opened = open_page(server.address)
        page = opened.page
        for box in page.locator("input[type=checkbox]").all():
            box.check()
        page.locator("button[type=submit]").click()
        page.wait_for_load_state("load")
        assert "2 runs side by side" in page.title()
        page.goto(server.address)
        page.locator("table.index th a").first.click()
        page.wait_for_load_state("load")
        assert "scorecard" in page.title()
        page.locator("#theme").click()
        island = json.loads(page.locator("#scorecard").text_content())
        assert island["run_id"].startswith("run-")
        assert opened.dialogs == []
        assert opened.complaints == []
        assert all(url.startswith(server.address) or url == "data:," for url in opened.requests)
        server.shutdown()
        thread.join(timeout=10)
