"""The page of a store in a real browser: whatever its tables say stays text, and it fits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fourview.report.data_document import describe_store
from fourview.report.data_look import MOST_SHOWN
from fourview.report.document_folder import write_document
from fourview.report.picture import MOST_BYTES
from tests.report.hand_made_store import Drawn, disc, draw_breast, write_store
from tests.report.sample_document import BAD


def test_hostile_names_stay_text_and_the_page_fits(tmp_path: Path, page: Any) -> None:
    hostile = BAD.replace("\x00", "").replace("\ud800", "")
    lesions = {hostile: ("mass", "malignant", disc(200, 100, 25))}
    more = {"vendor": hostile, "date": hostile, "split": hostile[:30], "warnings": [hostile]}
    images = [Drawn(hostile, draw_breast(), lesions, more=more), Drawn("b", draw_breast(seed=1))]
    images += [Drawn(f"dark {hostile}", rule="unreadable", more={"reason": hostile, "angle": hostile, "view": None})]
    about = {"title": hostile, "terms": hostile, "source": hostile, "releases_models": False}
    store = write_store(tmp_path / "store", images, about=about)
    write_document(tmp_path / "out", describe_store(store))
    page.goto((tmp_path / "out" / "report.html").as_uri())
    for width in (1366, 700):
        page.set_viewport_size({"width": width, "height": 768})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("window.pwned") is None
    assert page.locator("text=Models trained on this store must not be released").count() >= 1
    broken = page.evaluate("[...document.images].filter(i => !(i.complete && i.naturalWidth)).length")
    assert (page.locator("img").count() > 0, broken) == (True, 0)
    json.loads((tmp_path / "out" / "results.json").read_text())


def test_a_page_full_of_pictures_fits_and_is_small(tmp_path: Path, page: Any) -> None:
    images = [Drawn(f"i{n}", draw_breast(seed=n), {"l": ("mass", "benign", disc(200, 100, 20))}) for n in range(40)]
    write_document(tmp_path / "out", describe_store(write_store(tmp_path / "store", images)))
    file = tmp_path / "out" / "report.html"
    page.goto(file.as_uri())
    for width in (1366, 700):
        page.set_viewport_size({"width": width, "height": 768})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    pictures = page.locator(".gallery img").count()
    assert pictures == MOST_SHOWN * 3  # random ones, outlines, and lesions from near
    assert file.stat().st_size < pictures * (MOST_BYTES * 4 // 3) + 300_000
