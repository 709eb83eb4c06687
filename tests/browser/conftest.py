"""A real Chromium for pages; tests are skipped with a reason where there is none."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

WIDE, PHONE = {"width": 1280, "height": 800}, {"width": 360, "height": 780}


def _chromium(playwright: Any) -> str | None:
    """Return the browser to use: named by $HARNESS_CHROMIUM, installed on the machine, or fetched by Playwright."""
    named = [os.environ.get("HARNESS_CHROMIUM")]
    named += [shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome", "chrome")]
    named.append(playwright.chromium.executable_path)
    return next((path for path in named if path and Path(path).is_file()), None)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A running Chromium. For a module only: while it runs, so does an event loop in this thread."""
    api = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed: pip install playwright"
    )
    with api.sync_playwright() as playwright:
        path = _chromium(playwright)
        if path is None:
            pytest.skip(
                "no Chromium here: install one (apt install chromium), or name it in $HARNESS_CHROMIUM"
            )
        browser = playwright.chromium.launch(executable_path=path)
        yield browser
        browser.close()


@dataclass
class Opened:
    """An open page with what it tried to do: dialogs, requests beyond itself, complaints, opened windows."""

    page: Any
    address: str
    dialogs: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    windows: list[str] = field(default_factory=list)

    def unfold(self) -> None:
        """Open every part that is folded."""
        self.page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")


Open = Callable[..., Opened]


@pytest.fixture
def open_page(chromium: Any, tmp_path: Path) -> Iterator[Open]:
    """Open HTML text from a file (or an address), and watch what it does."""
    contexts = []

    def opened(
        html: str, *, viewport: dict[str, int] = WIDE, theme: str = "light", script: bool = True
    ) -> Opened:
        address = html
        if not html.startswith("http://"):
            file = tmp_path / f"page-{len(contexts)}.html"
            file.write_text(html, encoding="utf-8")
            address = file.as_uri()
        context = chromium.new_context(viewport=viewport, color_scheme=theme, java_script_enabled=script)
        contexts.append(context)
        page = context.new_page()
        seen = Opened(page=page, address=address)
        page.on("dialog", lambda dialog: (seen.dialogs.append(dialog.message), dialog.dismiss()))
        page.on("console", lambda said: seen.complaints.append(said.text))
        page.on("pageerror", lambda error: seen.complaints.append(str(error)))
        page.on("popup", lambda window: seen.windows.append(window.url))
        page.on("request", lambda request: seen.requests.append(request.url))
        page.goto(address)
        page.wait_for_load_state("load")
        seen.requests = [url for url in seen.requests if url not in (address, "data:,")]
        return seen

    yield opened
    for context in contexts:
        context.close()
