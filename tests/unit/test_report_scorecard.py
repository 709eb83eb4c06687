"""The scorecard: what it says, that it is the same every time, and that hostile text stays text."""

from __future__ import annotations

import base64
import hashlib
import io
import itertools
import json
import os
import re
import tracemalloc
from html.parser import HTMLParser
from typing import Any

import pytest
from rich.console import Console

from harness.report.html import render_html
from harness.report.json_ import render_json
from harness.report.model import build_scorecard
from harness.report.samples import MAX_LISTED
from harness.report.terminal import render_terminal
from tests.unit.report_runs import GOLDEN, run

REGENERATE = "REGENERATE_SCORECARD_GOLDEN"

VOID = {"meta", "link", "br", "line", "circle", "rect", "input"}


class Page(HTMLParser):
    """A page taken apart: every element with its attributes, every text with the element it stands in."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.stack: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.stack.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.stack.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append((self.stack[-1] if self.stack else "", data))

    def values(self, name: str) -> list[str]:
        return [attrs[name] or "" for _, attrs in self.elements if name in attrs]

    def text(self, *tags: str) -> str:
        return " ".join(
            data for tag, data in self.texts if tag not in ("script", "style") and (not tags or tag in tags)
        )


def page_of(*, hostile: bool = False) -> str:
    return render_html(build_scorecard(*run.example(hostile=hostile)))


def incomplete_page() -> str:
    pairs = run.example()[2][15:35]
    return render_html(
        build_scorecard(run.header("interrupted"), run.summary(pairs, "interrupted", 40), pairs)
    )


PAGES = {
    "example": page_of,
    "hostile": lambda: page_of(hostile=True),
    "incomplete": incomplete_page,
    "empty": lambda: render_html(build_scorecard({}, {}, ())),
}


@pytest.fixture(params=list(PAGES))
def page(request: pytest.FixtureRequest) -> str:
    return PAGES[request.param]()


@pytest.mark.parametrize("name", PAGES)
def test_the_page_is_the_committed_one(name: str) -> None:
    made, path = PAGES[name]().encode("utf-8"), GOLDEN / f"{name}.html"
    if os.environ.get(REGENERATE) == "1":
        path.write_bytes(made)
    assert path.read_bytes() == made, (
        f"{path} differs; look at the change, then set {REGENERATE}=1 to accept it"
    )


def test_same_contents_same_bytes_whatever_the_order_of_the_samples() -> None:
    head, total, pairs = run.example(hostile=True)
    first = render_html(build_scorecard(head, total, pairs, max_bodies=12))
    assert first == render_html(build_scorecard(head, total, iter(pairs), max_bodies=12))
    shown = {body.sample_id for body in build_scorecard(head, total, pairs, max_bodies=300).bodies}
    assert shown == {
        body.sample_id for body in build_scorecard(head, total, pairs[::-1], max_bodies=300).bodies
    }


def test_the_elements_are_well_nested_with_unique_ids_and_ordered_headings(page: str) -> None:
    parsed = Page(page)
    assert not parsed.stack
    ids = parsed.values("id")
    assert len(ids) == len(set(ids))
    levels = [int(tag[1]) for tag, _ in parsed.elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(below - above <= 1 for above, below in itertools.pairwise(levels))
    targets = {href[1:] for href in parsed.values("href") if href.startswith("#")}
    assert targets <= set(ids)
    assert parsed.elements[0] == ("html", {"lang": "en"})


def test_nothing_in_the_page_can_run_or_load(page: str) -> None:
    parsed = Page(page)
    scripts = [attrs for tag, attrs in parsed.elements if tag == "script"]
    assert scripts == [{"type": "application/json", "id": "scorecard"}, {}]
    assert not {"iframe", "object", "embed", "form", "img", "base", "foreignobject", "use"} & {
        tag for tag, _ in parsed.elements
    }
    for _, attrs in parsed.elements:
        assert not [
            name
            for name in attrs
            if name.startswith("on") or name in ("style", "src", "srcset", "xlink:href")
        ]
    assert all(href.startswith("#") or href == "data:," for href in parsed.values("href"))


def test_the_policy_names_the_hashes_of_the_one_script_and_style(page: str) -> None:
    parsed = Page(page)
    policy = next(
        a["content"] for t, a in parsed.elements if a.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy is not None
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    style = re.search(r"<style>(.*?)</style>", page, re.S)
    script = re.search(r"<script>(.*?)</script>", page, re.S)
    for name, match in (("style-src", style), ("script-src", script)):
        assert match is not None
        digest = base64.b64encode(hashlib.sha256(match[1].encode()).digest()).decode()
        assert f"{name} 'sha256-{digest}'" in policy


def test_hostile_text_is_visible_and_harmless() -> None:
    page = page_of(hostile=True)
    bare = {
        chr(c) for c in (*range(9), *range(11, 32), 127, 0x9B, 0x202E, 0x2066, 0x200B, 0xFEFF, 0x2028, 0x2029)
    }
    assert not bare & set(page)
    page.encode("utf-8")
    shown = Page(page).text()
    for escape in ("\\x00", "\\x1b", "\\u202e", "\\u2066", "\\u200b", "\\ud83d", "\\udc80", "\\U000e0041"):
        assert escape in shown
    for text in ("</script><script>alert(1)</script>", "<!--<script>", "{{ 7 * 7 }}"):
        assert text in shown
    assert "of 1,000,000 characters" in shown
    assert len(page) < 1_000_000


def test_the_island_is_json_that_cannot_end_its_element(page: str) -> None:
    match = re.search(r'<script type="application/json" id="scorecard">(.*?)</script>', page, re.S)
    assert match is not None
    assert not set("<>&\u2028\u2029") & set(match[1])
    data = json.loads(match[1])
    assert data["schema"] == 2
    assert {"verdict", "estimates", "failures", "counts"} <= set(data)


def test_the_first_screen_says_the_verdict_and_every_count() -> None:
    text = Page(page_of()).text()
    assert "COMPLETE" in text
    assert "Right on 17 of 38 samples" in text
    assert re.search(r"1\s+error", text)
    for part in ("Hallucination rate", "Over-refusal", "95 % interval", "small n", "no baseline"):
        assert part in text


def test_an_unfinished_run_says_so_everywhere() -> None:
    page = incomplete_page()
    parsed = Page(page)
    assert "INCOMPLETE" in parsed.text("title")
    assert "20 of 40 planned samples generated" in parsed.text()
    assert parsed.text("span").count("incomplete") == page.count("<h2 ")
    out = io.StringIO()
    pairs = run.example()[2][15:35]
    render_terminal(run.summary(pairs, "interrupted", 40), Console(file=out, width=100))
    assert "INCOMPLETE" in out.getvalue()


def test_a_status_that_is_not_complete_in_either_file_makes_the_run_incomplete() -> None:
    head, total, pairs = run.example()
    for first, second in (("running", "complete"), ("complete", "failed"), ("complete", "no such status")):
        card = build_scorecard({**head, "status": first}, {**total, "status": second}, pairs)
        assert not card.complete
        assert "INCOMPLETE" in render_html(card)


def test_everything_is_there_without_script() -> None:
    text = re.sub(r"<script.*?</script>", "", page_of(), flags=re.S)
    parsed = Page(text)
    for _, about in ((s["sample_id"], s) for s, _ in run.example()[2]):
        assert about["sample_id"] in parsed.text()
        assert about["question"] in parsed.text()
    hidden = [attrs for _, attrs in parsed.elements if "hidden" in attrs]
    assert hidden
    assert all(tag in ("button", "div") for tag, attrs in parsed.elements if "hidden" in attrs)
    assert all("id" in attrs or "data-copy" in attrs for attrs in hidden)


def test_korean_samples_are_marked_as_korean() -> None:
    parsed = Page(page_of())
    assert {"ko", "en"} == set(parsed.values("lang"))


def test_every_chart_has_a_name_and_a_description() -> None:
    charts = re.findall(r"<svg.*?</svg>", page_of(), re.S)
    assert charts
    assert all('role="img"' in c and re.search(r"<title>.+</title><desc>.+</desc>", c) for c in charts)


def test_five_thousand_samples_stay_small_on_the_page_and_in_memory() -> None:
    def stream() -> Any:
        for index in range(5_000):
            score, generation = run.sample(index, run.PLAN[index % len(run.PLAN)])
            generation["text"] = "<&\x00가" * 10_000 if index % 10 else "short"
            yield score, generation

    head, total, _ = run.example()
    tracemalloc.start()
    card = build_scorecard(head, total, stream())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40_000_000
    assert len(card.bodies) <= 200
    assert len(card.listed) == MAX_LISTED
    assert len(card.bodies) + len(card.listed) + card.unlisted == card.seen == 5_000
    assert {body.outcome for body in card.bodies} == {"fail", "unscored", "pass"}
    assert len(render_html(card).encode()) < 5_000_000


def test_names_of_a_megabyte_do_not_fill_the_page() -> None:
    header, total, pairs = run.example()
    short = len(render_html(build_scorecard(header, total, pairs)))
    long = "<&가" * 350_000
    header["engine"] |= {"model": long, "adapter": long, "device": long}
    header["suite"] |= {"description": long, "name": long}
    card = build_scorecard(header, total, pairs)
    assert len(render_html(card)) < short + 100_000
    assert card.name.endswith("…"), "what was cut says so"


def test_examples_of_every_kind_are_on_the_page() -> None:
    pairs = [run.sample(i, run.PLAN[i % len(run.PLAN)]) for i in range(2_000)]
    card = build_scorecard(run.header(), run.summary(pairs), pairs, max_bodies=100)
    bodies = {body.anchor for body in card.bodies}
    for kind in (*card.failures, *card.findings):
        assert kind.examples
        assert {example.anchor for example in kind.examples} <= bodies


def test_json_is_the_same_numbers_in_ascii() -> None:
    text = render_json(build_scorecard(*run.example(hostile=True)))
    assert text.isascii()
    data = json.loads(text)
    overall = {e["metric"]: e["value"] for e in data["estimates"] if e["group"] == "all"}
    stored = {
        a["metric"]: a["value"] for a in run.example(hostile=True)[1]["aggregates"] if a["group"] == "all"
    }
    assert overall == pytest.approx(stored, rel=1e-8), "nine digits"


@pytest.mark.parametrize(("width", "encoding"), [(60, "utf-8"), (120, "utf-8"), (120, "ascii")])
def test_the_terminal_shows_scores_and_never_a_control_character(width: int, encoding: str) -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding, errors="strict")
    render_terminal(build_scorecard(*run.example(hostile=True)), Console(file=stream, width=width))
    stream.flush()
    shown = raw.getvalue().decode(encoding)
    assert "Right on 17 of 51" in shown
    assert "wrong_value" in shown
    assert not {"\x1b", "\x00", "\u202e"} & set(shown)
