"""A real browser for the pages, without a network: a test that makes the page complain or ask for anything fails."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
_LOCAL = ("file:", "data:", "blob:", "about:")


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Headless Chromium; FOURVIEW_CHROMIUM names another one than the one on the PATH."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = os.environ.get("FOURVIEW_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("no chromium on the PATH; set FOURVIEW_CHROMIUM")
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=program, args=_FLAGS)
        yield opened
        opened.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """An empty page of 1366 x 768, in a fresh profile; errors of any kind and outside requests fail the test."""
    context = browser.new_context(viewport={"width": 1366, "height": 768}, device_scale_factor=1)
    opened = context.new_page()
    complaints: list[str] = []
    opened.on("console", lambda m: complaints.append(f"console: {m.text}") if m.type == "error" else None)
    opened.on("pageerror", lambda error: complaints.append(f"page error: {error}"))
    opened.on("request", lambda r: None if r.url.startswith(_LOCAL) else complaints.append(f"request: {r.url}"))
    yield opened
    context.close()
    assert complaints == []
