"""A real Chromium, the system's, with nothing of its own talking to the network."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.support.machine import chromium_path

# `make pictures` writes the README's; an ordinary run leaves the checkout as it is.
PICTURES = Path(os.environ.get("PICTURES", "test-results/pictures"))
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "/browser/" in item.nodeid:
            item.add_marker(pytest.mark.requires("chromium"))


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=chromium_path(), args=QUIET)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page in a fresh profile. It fails the test on a console error or a policy violation.

    Chromium also logs the status of a page that is meant to be an explained 400; that line is no error.
    """
    context = browser.new_context(viewport={"width": 1280, "height": 800}, locale="en-GB")
    opened = context.new_page()
    complaints: list[str] = []
    opened.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    yield opened
    context.close()
    assert not [text for text in complaints if "responded with a status of 400" not in text]


def take_picture(page: Page, name: str) -> None:
    """Keep what the page shows, for the README: at a desk's width and at a phone's."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    for suffix, width in (("", 1280), ("-phone", 390)):
        page.set_viewport_size({"width": width, "height": 800})
        page.screenshot(path=PICTURES / f"{name}{suffix}.png")
    page.set_viewport_size({"width": 1280, "height": 800})
