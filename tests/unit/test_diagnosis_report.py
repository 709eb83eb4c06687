"""The diagnosis as page, picture and terminal text: complete, deterministic, self-contained, safe against hostile names."""

from __future__ import annotations

import io
import math
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from typing import Any

import pytest
from rich.console import Console

from harness.report.diagnosis_html import MAX_ROWS, render_diagnosis_html
from harness.report.diagnosis_svg import curves_svg, standalone_svg
from harness.report.diagnosis_terminal import render_diagnosis, sparkline
from harness.report.page import asset, page_environment
from harness.report.plot import Scale, envelope, tick_text, ticks
from harness.training.diagnosis import Diagnosis, diagnose
from harness.training.diagnosis.model import Series

U_TURN = [2.0, 1.5, 1.2, 1.1, 1.2, 1.35, 1.5, 1.6]


def overfit_log(key: str = "eval_loss") -> list[dict[str, Any]]:
    log: list[dict[str, Any]] = []
    for i in range(40):
        step = 10 * (i + 1)
        log.append(
            {"step": step, "loss": 2 * 0.93**i, "learning_rate": 1e-4, "grad_norm": 1.0, "epoch": step / 100}
        )
        if i % 5 == 4:
            log.append({"step": step, key: U_TURN[i // 5], "eval_exact": 0.5, "epoch": step / 100})
    return log


OVERFIT = diagnose(overfit_log())


class Page(HTMLParser):
    """Tags, attributes and text of a page; unbalanced tags are errors."""

    VOID = frozenset({"meta", "link", "br", "line", "circle", "polyline", "rect", "hr"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_page_is_whole_and_needs_nothing_else():
    page = render_diagnosis_html(OVERFIT, title="run")
    parsed = Page(page)
    tags = [tag for tag, _ in parsed.tags]
    assert "script" not in tags
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", page)
    assert "url(" not in page
    policy = next(a["content"] for tag, a in parsed.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert not any("style" in attributes for _, attributes in parsed.tags), "the policy forbids inline styles"
    ids = [attributes["id"] for _, attributes in parsed.tags if "id" in attributes]
    assert len(ids) == len(set(ids)), "two pictures of one page must not share ids"


@pytest.mark.parametrize("language", ["en", "ko"])
def test_page_holds_every_finding(language: Any):
    page = render_diagnosis_html(OVERFIT, title="run", language=language)
    assert f'<html lang="{language}">' in page
    for finding in OVERFIT.findings:
        assert f"<code>{finding.code}</code>" in page
    assert ("과적합" in page) == (language == "ko")
    assert ("Overfitting" in page) == (language == "en")


def test_same_diagnosis_same_bytes():
    again = diagnose(overfit_log())
    assert render_diagnosis_html(OVERFIT, title="x") == render_diagnosis_html(again, title="x")
    assert standalone_svg(OVERFIT) == standalone_svg(again)


HOSTILE_NAMES = [
    "eval_<script>alert(1)</script>_loss",
    'eval_"onload=x_loss',
    "eval_\u202egnp_loss",
    "eval_{{7*7}}_loss",
    "eval_\x1b[2J_loss",
]


@pytest.mark.parametrize("key", HOSTILE_NAMES)
def test_hostile_names_are_text(key: str):
    diagnosis = diagnose(overfit_log(key))
    page = render_diagnosis_html(diagnosis, title=key)
    picture = standalone_svg(diagnosis)
    assert "<script" not in page + picture
    assert not any(name.startswith("on") for _, attributes in Page(page).tags for name in attributes)
    assert "\u202e" not in page + picture
    assert "\x1b" not in page + picture
    assert "49" not in re.sub(r"[\d.]{3,}", "", page[page.index("<h2") :]) or "{{7*7}}" in page
    out = io.StringIO()
    render_diagnosis(diagnosis, Console(file=out, width=100))
    assert not {"\x1b", "\u202e"} & set(out.getvalue())


def test_picture_is_valid_xml_and_says_what_it_shows():
    root = ET.fromstring(standalone_svg(OVERFIT).partition("\n")[2])
    space = "{http://www.w3.org/2000/svg}"
    assert (root.findtext(f"{space}title") or "").startswith("overfit")
    assert "best checkpoint" in (root.findtext(f"{space}desc") or "").lower()
    assert len(root.findall(f".//{space}polyline")) == 6, (
        "raw, smoothed, evaluation, metric, rate, gradient norm"
    )
    marks = root.findall(f".//{space}circle[@class='mark critical']")
    assert len(marks) == 1


def test_curves_stay_inside_the_picture():
    log = overfit_log()
    log[20]["loss"] = 1e9
    log[30]["loss"] = math.nan
    picture = str(curves_svg(diagnose(log), width=380))
    height = float(re.search(r'viewBox="0 0 380 (\d+)"', picture)[1])  # type: ignore[index]
    for points in re.findall(r'points="([^"]*)"', picture):
        for point in points.split():
            x, y = map(float, point.split(","))
            assert 0 <= x <= 380
            assert 0 <= y <= height
    assert "×" in picture, "a NaN is marked, not dropped"


def test_what_lies_outside_is_drawn_at_the_border():
    up = Scale(low=0, high=2, start=100, end=0)
    assert [up(value) for value in (0, 1, 2, 50, -50)] == [100, 50, 0, 0, 100]


def test_no_template_can_forget_to_escape():
    rendered = page_environment({}, {}).from_string("{{ name }}").render(name="<b>\u202e\x00")
    assert rendered == "&lt;b&gt;\\u202e\\x00"


def test_no_curve_no_picture():
    empty = diagnose([])
    assert str(curves_svg(empty)) == ""
    ET.fromstring(standalone_svg(empty).partition("\n")[2])
    assert "<figure" not in render_diagnosis_html(empty, title="x")


def test_long_logs_stay_small():
    log = [{"step": i, "loss": 2 - i / 2e4, "grad_norm": 1.0, "learning_rate": 1e-4} for i in range(20_000)]
    log += [{"step": i, "eval_loss": 2 - i / 2e4} for i in range(10, 20_000, 10)]
    page = render_diagnosis_html(diagnose(log), title="x")
    assert len(page) < 400_000
    assert page.count("<tr") <= MAX_ROWS + 1


def test_the_envelope_keeps_extremes():
    y = [0.0] * 1000
    y[503], y[777] = 9.0, -9.0
    points = envelope(range(1000), y, 50)
    assert len(points) <= 100
    assert {(503, 9.0), (777, -9.0)} <= set(points)


TICKS = [
    (0.0, 3.7, 5, [0, 1, 2, 3]),
    (0.0, 2e-4, 3, [0, 1e-4, 2e-4]),
    (0.0, 100.0, 9, [0, 20, 40, 60, 80, 100]),
    (5.0, 5.0, 5, [5.0]),
    (-1.0, 1.0, 3, [-1, 0, 1]),
]


@pytest.mark.parametrize(("low", "high", "most", "expected"), TICKS)
def test_ticks_are_round(low: float, high: float, most: int, expected: list[float]):
    assert ticks(low, high, most) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.5, "0.5"), (1e-4, "1e-4"), (2.5e-5, "2.5e-5"), (20_000, "20k"), (1500, "1500")],
)
def test_tick_text(value: float, text: str):
    assert tick_text(value) == text


def _printed(diagnosis: Diagnosis, encoding: str = "utf-8", **options: Any) -> str:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding, errors="strict", newline="\n")
    render_diagnosis(diagnosis, Console(file=stream, width=80), **options)
    stream.flush()
    return raw.getvalue().decode(encoding)


def test_terminal_text():
    text = _printed(OVERFIT)
    assert text.startswith("Verdict: OVERFIT. ")
    assert "→ Use checkpoint-200." in text
    assert "\x1b" not in text, "plain where it is no terminal"
    assert all(line == line.rstrip() for line in text.splitlines())


def test_korean_terminal_text():
    text = _printed(OVERFIT, language="ko")
    assert text.startswith("판정: 과적합. ")
    assert "checkpoint-200 체크포인트를 쓰세요." in text


def test_a_terminal_without_unicode():
    for language in ("en", "ko"):
        assert "-> " in _printed(OVERFIT, encoding="ascii", language=language)


def test_sparkline():
    assert sparkline(Series(key="k", x=(1.0, 2.0, 3.0), y=(0.0, 7.0, math.nan))) == "▁█×"
    assert sparkline(Series(key="k", x=(1.0, 2.0), y=(1.0, 1.0))) == "▁▁"
    long = Series(key="k", x=tuple(map(float, range(500))), y=tuple(map(float, range(500))))
    assert len(sparkline(long)) == 32


def _luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(a: str, b: str) -> float:
    high, low = sorted((_luminance(a), _luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_picture_colours_meet_wcag_aa(theme: int):
    """4.5 to 1 for text, 3 to 1 for lines and marks, in the picture's own style sheet and in the page's."""
    own = re.findall(r"\.curves \{(.*?)\}", asset("curves_theme.css"), re.S)[theme if theme == 0 else -1]
    page = re.findall(r":root[^{]*\{(.*?)\}", asset("scorecard.css"), re.S)[theme]
    for block in (own, page):
        colours = dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", block))
        for name in ("ink", "soft", "good", "warn", "bad"):
            assert _contrast(colours[name], colours["panel"]) >= 4.5, name
        for name, ground in (("warn", "warnbg"), ("bad", "badbg")):
            assert _contrast(colours[name], colours[ground]) >= 4.5, name
        for name in ("accent", "grey", "escink"):
            assert _contrast(colours[name], colours["panel"]) >= 3, name
