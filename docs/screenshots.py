"""The pictures of docs/images, taken of reports/examples in headless Chromium: `make screenshots`.

They are for people to look at and no test compares them, since fonts differ between machines.
"""

from __future__ import annotations

import os
import shutil
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from harness.report.view.server import ViewServer

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "reports" / "examples"
IMAGES = ROOT / "docs" / "images"
CARD = EXAMPLES / "scripted-damaged" / "scorecard.html"
SIDE = EXAMPLES / "side-by-side-scripted.html"
PERSONA = EXAMPLES / "persona-before-after.html"
WIDE, PHONE = (1120, 900), (360, 780)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """One picture: of a page, or of one element of it, scrolled to the top."""

    name: str
    address: str
    size: tuple[int, int] = WIDE
    theme: str = "light"
    start: str | None = None


def shots(server: str) -> list[Shot]:
    """Return every picture; `server` is the address of `harness view`."""
    card = CARD.as_uri()
    return [
        Shot(name="scorecard-light", address=card),
        Shot(name="scorecard-dark", address=card, theme="dark"),
        Shot(name="scorecard-phone", address=card, size=PHONE),
        Shot(name="scorecard-sample", address=card, start="article.sample"),
        Shot(name="side-by-side", address=SIDE.as_uri()),
        Shot(name="persona-before-after", address=PERSONA.as_uri()),
        Shot(name="view", address=server, size=(1120, 1140)),
    ]


def take(browser: Any, shot: Shot) -> Path:
    """Take one picture and return where it lies."""
    width, height = shot.size
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=shot.theme, reduced_motion="reduce"
    )
    page = context.new_page()
    page.goto(shot.address)
    page.wait_for_load_state("load")
    if shot.start:
        top = page.locator(shot.start).first.evaluate("one => one.getBoundingClientRect().top + scrollY")
        page.evaluate("top => scrollTo(0, top - 16)", top)
    place = IMAGES / f"{shot.name}.png"
    page.screenshot(path=place, animations="disabled", caret="hide")
    context.close()
    return place


def main() -> None:
    """Take every picture."""
    names = ("chromium", "chromium-browser", "google-chrome")
    path = os.environ.get("HARNESS_CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    IMAGES.mkdir(exist_ok=True)
    with ViewServer(EXAMPLES, 0) as server, sync_playwright() as playwright:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        browser = playwright.chromium.launch(executable_path=path)
        for shot in shots(server.address):
            place = take(browser, shot)
            print(f"{place.relative_to(ROOT)}  {place.stat().st_size / 1000:.0f} KB")
        browser.close()
        server.shutdown()


if __name__ == "__main__":
    main()
