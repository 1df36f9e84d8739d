"""The page of a store: counts agree with the manifest, planted odd images are found, ordinary ones are not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from fourview.exam import SetupError
from fourview.report.data_document import describe_store
from fourview.report.data_oddities import ODDITIES, Odd, find_odd, measure_crop
from fourview.report.data_pictures import COLOURS, draw_small
from fourview.report.document import Document, Figure, Gallery, Table
from fourview.report.picture import MOST_BYTES
from fourview.report.plots.flow import FlowStep, draw_flow
from fourview.store.audit import audit
from fourview.store.selection import Selection
from fourview.store.splits import Split, hash_images
from fourview.store.store import Store
from tests.report.hand_made_store import COLS, ROWS, Drawn, disc, draw_breast, write_store

RIGHT = {"side": "R", "view": "R-CC", "faces": "left", "mirrored": True}


def _parts(document: Document) -> dict[str, Table | Figure | Gallery]:
    return {part.name: part for section in document.sections for part in section.parts}


def _rows(document: Document, name: str) -> dict[str, dict[str, Any]]:
    """The rows of a table by their first cell."""
    table = _parts(document)[name]
    assert isinstance(table, Table)
    return {str(row[0]): dict(zip(table.columns[1:], row[1:], strict=True)) for row in table.rows}


def _gallery(document: Document, name: str) -> Gallery:
    gallery = _parts(document)[name]
    assert isinstance(gallery, Gallery)
    return gallery


def _decode(content: bytes) -> NDArray[np.uint8]:
    """(rows, cols, 3) RGB."""
    return np.asarray(cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR))[..., ::-1]


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Two exams of one woman, one of another, an image without side, and what did not get in."""
    ann, eve = {"patient": "drawn/ann"}, {"patient": "drawn/eve"}
    one, two, three = {"exam": "e1", **ann}, {"exam": "e2", **ann}, {"exam": "e3", **eve}
    lesion = {"m": ("mass", "malignant", disc(200, 100, 25))}
    images = [
        Drawn("a", draw_breast(seed=1), lesion, more={**one, "malignant": True, "age": 51.0, "birads": "5"}),
        Drawn("b", draw_breast(seed=2), more={**one, **RIGHT, "age": 51.0, "birads": "1", "split": "train"}),
        Drawn("c", draw_breast(seed=3), more={**two, "malignant": True, "benign": True, "vendor": None}),
        Drawn("d", draw_breast(seed=4), more={**three, "malignant": None, "benign": None, "label_source": "unknown"}),
        Drawn("e", draw_breast(seed=5), more={**three, **RIGHT, "benign": True, "high_risk": True, "density": "C"}),
        Drawn("f", rule="side unknown", more={**three, "side": None, "view": None}),
        Drawn("g", rule="unreadable", more={"exam": "e4", **eve}),
        Drawn("h", rule="gap at the chest wall", more={"exam": "e4", **eve}),
    ]
    folder = tmp_path_factory.mktemp("counted") / "store"
    return write_store(folder, images, listing=[("row 7", "no such file")], selection=Selection(gap="reject"))


@pytest.fixture(scope="module")
def document(counted: Store) -> Document:
    return describe_store(counted)


def test_counts_agree_with_the_manifest(document: Document) -> None:
    totals = _parts(document)["totals"]
    assert isinstance(totals, Table)
    assert totals.columns[2:] == ("images", "breasts", "exams", "patients", "malignant images")
    assert totals.rows == (
        ("drawn", "listed", 8, 6, 4, 2, 2),
        ("drawn", "prepared", 5, 5, 3, 2, 2),
        ("drawn", "excluded", 2, 1, 2, 1, 0),
        ("drawn", "failed", 1, 1, 1, 1, 0),
    )
    labels = _parts(document)["labels_image"]
    assert isinstance(labels, Table)
    assert labels.columns == ("images with", "images", "breasts", "exams", "patients")
    assert labels.rows == tuple(
        (text, 1, 1, 1, 1) for text in ("malignant and benign", "malignant", "benign", "neither", "not known")
    )
    views = _rows(document, "view")
    assert {view: row["images"] for view, row in views.items()} == {"L-CC": 3, "R-CC": 2}
    assert views["L-CC"]["exams"] == 3
    assert views["L-CC"]["patients"] == 2
    assert {text: row["images"] for text, row in _rows(document, "vendor").items()} == {"Maker": 4, "not known": 1}
    assert list(_rows(document, "birads")) == ["1", "5", "not known"]
    assert {text: row["images"] for text, row in _rows(document, "split").items()} == {"train": 1, "not known": 4}
    assert {text: row["images"] for text, row in _rows(document, "direction").items()} == {
        "left breast faces right": 3,
        "right breast faces left": 2,
    }


def test_two_views_of_a_breast_are_one_breast_and_an_exam_name_counts_per_data_set(tmp_path: Path) -> None:
    own = {"exam": "e", "patient": "drawn/p"}
    images = [
        Drawn("cc", draw_breast(), more=own),
        Drawn("mlo", draw_breast(seed=1), more={**own, "angle": "MLO", "view": "L-MLO"}),
        Drawn("other", draw_breast(seed=2), more={"exam": "e", "dataset": "other", "patient": "other/p"}),
    ]
    document = describe_store(write_store(tmp_path / "store", images))
    sides = _rows(document, "side")["L"]
    assert (sides["images"], sides["breasts"], sides["exams"], sides["patients"]) == (3, 2, 2, 2)
    assert _rows(document, "terms")["other"]["terms of use"] == "not known"


def _two_exams(unit: str) -> list[Drawn]:
    """Four views of one exam that is malignant and of one that is benign, labelled in that unit."""
    images = []
    for exam, malignant in (("e1", True), ("e2", False)):
        for n, (side, angle) in enumerate((s, a) for s in "LR" for a in ("CC", "MLO")):
            own = {"exam": exam, "patient": f"drawn/{exam}", "side": side, "angle": angle, "view": f"{side}-{angle}"}
            own |= RIGHT | {"view": f"R-{angle}"} if side == "R" else {}
            labels = {"malignant": malignant, "benign": None if malignant else True, "label_unit": unit}
            images.append(Drawn(f"{exam}{side}{angle}", draw_breast(seed=n), more={**own, **labels, "age": 60.0}))
    return images


def test_labels_of_exams_are_counted_as_exams_and_their_breasts_are_not_known(tmp_path: Path) -> None:
    images = _two_exams("exam")
    document = describe_store(store := write_store(tmp_path / "store", images))
    assert "labels_image" not in _parts(document)
    exams, breasts = _parts(document)["labels_exam"], _parts(document)["labels_breast"]
    assert isinstance(exams, Table)
    assert isinstance(breasts, Table)
    assert exams.columns == ("exams with", "exams", "images", "patients")
    assert exams.rows == (("malignant, benign not known", 1, 4, 1), ("benign", 1, 4, 1))
    assert breasts.rows == (("not malignant, benign not known", 2, 4, 1, 1), ("not known", 2, 4, 1, 1))
    assert "does not say which breast" in breasts.note
    for name in ("totals", "view", "vendor", "direction"):
        table = _parts(document)[name]
        assert isinstance(table, Table)
        assert table.columns[-1] == "exams with malignant finding"
    assert {view: row["exams with malignant finding"] for view, row in _rows(document, "view").items()} == {
        "L-CC": 1, "L-MLO": 1, "R-CC": 1, "R-MLO": 1,
    }  # fmt: skip
    sources = _parts(document)["label_sources"]
    assert isinstance(sources, Table)
    assert sources.rows == (("drawn", "biopsy", "exam", 2, 8, 1, 1, 0, 1, 1, 0),)
    everything = {image.image: "train" for image in images}
    split = describe_store(store, split=_split(store, everything))
    row = _rows(split, "split_parts")["train"]
    columns = ("exams with malignant finding", "exams with benign finding", "patients with malignant finding")
    assert [row[column] for column in columns] == [1, 1, 1]
    assert not any("malignant breasts" in str(part) for part in _parts(split).values())
    (shown, *_) = _gallery(document, "random").items
    assert any("label of the exam: " in line for line in shown.lines)


def test_labels_of_breasts_are_counted_as_breasts(tmp_path: Path) -> None:
    document = describe_store(write_store(tmp_path / "store", _two_exams("breast")))
    table = _parts(document)["labels_breast"]
    assert isinstance(table, Table)
    assert table.columns == ("breasts with", "breasts", "images", "exams", "patients")
    assert table.rows == (("malignant, benign not known", 2, 4, 1, 1), ("benign", 2, 4, 1, 1))
    assert _rows(document, "view")["R-CC"]["malignant breasts"] == 1


def test_a_breast_that_one_of_its_images_calls_malignant_is_malignant_and_counts_once(tmp_path: Path) -> None:
    images = [
        Drawn("cc", draw_breast(), more={"exam": "e", "malignant": True, "label_unit": "breast"}),
        Drawn("mlo", draw_breast(seed=1), more={"exam": "e", "malignant": False, "view": "L-MLO", "angle": "MLO"}),
    ]
    table = _parts(describe_store(write_store(tmp_path / "store", images)))["labels_breast"]
    assert isinstance(table, Table)
    assert table.rows == (("malignant", 1, 2, 1, 2),)


def test_what_the_importer_said_about_the_set_stands_on_top(tmp_path: Path) -> None:
    store = write_store(tmp_path / "store", [Drawn("a", draw_breast())])
    flow = store.path / "flow.json"
    flow.write_text(json.dumps({**json.loads(flow.read_text()), "set_warnings": ["12 masks are missing"]}))
    assert "Data set: 12 masks are missing" in describe_store(store).warnings
    flow.write_text("[1]")
    with pytest.raises(SetupError, match=r"flow\.json: cannot be read"):
        describe_store(store)


def test_where_labels_come_from_is_counted_per_question(document: Document) -> None:
    columns = ("data set", "source", "label of the", "how many", "images", "malignant", "not malignant")
    table = _parts(document)["label_sources"]
    assert isinstance(table, Table)
    assert table.columns[:7] == columns
    assert table.rows == (
        ("drawn", "biopsy", "image", 4, 4, 2, 2, 0, 2, 0, 1),
        ("drawn", "unknown", "image", 1, 1, 0, 0, 1, 0, 1, 0),
    )


def test_the_flow_leads_from_what_was_listed_to_what_was_prepared(document: Document) -> None:
    flow = _parts(document)["flow"]
    assert isinstance(flow, Figure)
    assert flow.data["step"] == ["Listed by the data set", "Selected", "Read and cropped", "Prepared"]
    assert flow.data["images"] == [8, 7, 6, 5]
    assert flow.data["left out"] == [1, 1, 1, 0]
    assert flow.data["exams"] == [4, 4, 4, 3]
    for text in ("1: side unknown", "1: unreadable", "1: gap at the chest wall", "5 images", "2 patients"):
        assert text in flow.svg
    rules = _rows(document, "rules")
    assert rules["side unknown"] == {
        "what it leaves out": "the set does not say which breast it is",
        "applied": "yes",
        "images left out": 1,
        "images left": 7,
        "exams left": 4,
    }
    assert (rules["gap at the chest wall"]["applied"], rules["no label"]["applied"]) == ("yes", "no")


def test_failures_stand_with_their_reasons_and_before_any_number(document: Document) -> None:
    table = _parts(document)["failures"]
    assert isinstance(table, Table)
    assert table.rows == (
        ("listing", "row 7", "", "", "no such file"),
        ("image", "g.png", "g", "unreadable", "why g"),
    )
    assert any("1 of 8 listed images failed" in warning for warning in document.warnings)
    assert any("1 problem in the data set's files and tables" in warning for warning in document.warnings)
    assert not any("did not become an image:" in warning for warning in document.warnings), "it may be a lesion"


def test_lesions_are_counted_once_and_drawn_where_they_are(document: Document) -> None:
    table = _parts(document)["lesions"]
    assert isinstance(table, Table)
    assert table.rows == (("mass", "malignant", 1, 1, 1, 1, 0),)
    (item,) = _gallery(document, "outlines").items
    assert item.title == "a"
    assert len(item.images) == 2  # the whole, and the lesion from near


def test_terms_stand_first_and_a_set_that_forbids_models_is_a_warning(counted: Store, tmp_path: Path) -> None:
    document = describe_store(counted)
    assert document.sections[0].name == "terms"
    assert _rows(document, "terms")["drawn"]["terms of use"] == "free"
    assert not any("must not be released" in warning for warning in document.warnings)
    about = {"terms": "no redistribution", "releases_models": False}
    forbidding = describe_store(write_store(tmp_path / "store", [Drawn("a", draw_breast())], about=about))
    assert _rows(forbidding, "terms")["drawn"]["releasing trained models"] == "forbidden"
    assert forbidding.warnings[0] == (
        "Models trained on this store must not be released: Drawn breasts: no redistribution"
    )


def test_images_without_a_patient_are_a_warning(tmp_path: Path) -> None:
    images = [Drawn("a", draw_breast(), more={"patient": None}), Drawn("b", draw_breast(seed=1))]
    document = describe_store(write_store(tmp_path / "store", images))
    assert any("1 of 2 prepared images have no patient" in warning for warning in document.warnings)
    assert _rows(document, "view")["L-CC"]["patients"] == 1


def test_ages_are_of_exams(document: Document) -> None:
    figure = _parts(document)["ages"]
    assert isinstance(figure, Figure)
    assert figure.data["exams with malignant finding"] == [1]
    assert (figure.data["from"], figure.data["below"]) == ([50], [55])
    assert "1 of 3 exams" in figure.caption


def test_a_store_without_prepared_images_is_refused(tmp_path: Path) -> None:
    store = write_store(tmp_path / "store", [Drawn("a", rule="unreadable")])
    with pytest.raises(SetupError, match=r"no image was prepared \(1 listed\)"):
        describe_store(store)


def test_a_stored_file_that_is_gone_is_said_and_the_rest_is_shown(tmp_path: Path) -> None:
    store = write_store(tmp_path / "store", [Drawn("a", draw_breast()), Drawn("b", draw_breast(seed=1))])
    (store.path / store.images["blob"][0]).unlink()
    document = describe_store(store)
    assert any("1 images of the store cannot be read any more" in warning for warning in document.warnings)
    shown = {item.title: item for item in _gallery(document, "random").items}
    assert (len(shown["a"].images), len(shown["b"].images)) == (0, 1)
    assert "cannot be read from the store" in shown["a"].lines[0]


# ---- oddities


def _text() -> NDArray[np.uint16]:
    pixels = draw_breast(seed=90)
    letters = np.zeros(pixels.shape, np.uint8)
    cv2.putText(letters, "RCC 12", (170, 40), cv2.FONT_HERSHEY_SIMPLEX, 0.8, 255, 2)
    pixels[letters > 0] = 40000
    return pixels


def _cut_off() -> NDArray[np.uint16]:
    return np.ascontiguousarray(draw_breast(seed=91)[:, :200])


def _saturated() -> NDArray[np.uint16]:
    pixels = draw_breast(seed=92)
    pixels[150:200, 50:100] = 65535
    return pixels


def _flat() -> NDArray[np.uint16]:
    return np.where(draw_breast(seed=93) > 0, 12000, 0).astype(np.uint16)


def _stretched(level: int, seed: int) -> NDArray[np.uint16]:
    return draw_breast(seed=seed, level=level)


@pytest.fixture(scope="module")
def odd_store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    ordinary = [Drawn(f"ordinary{n}", draw_breast(seed=n, level=11000 + 150 * n)) for n in range(20)]
    tiny = draw_breast(seed=94)[150:250, :90].copy()
    tiny[:5] = tiny[-5:] = 0
    tiny[:, -5:] = 0
    size = {"source_rows": ROWS + 100, "source_cols": COLS + 100}
    whole = {"source_rows": ROWS, "source_cols": COLS, "crop_top": 0, "crop_left": 0}
    planted = [
        Drawn("dark", _stretched(1500, 80)),
        Drawn("bright", _stretched(30000, 81)),
        Drawn("text", _text()),
        Drawn("cut", _cut_off()),
        Drawn("turned", np.ascontiguousarray(draw_breast(seed=95)[:, ::-1])),
        Drawn("saturated", _saturated()),
        Drawn("flat", _flat()),
        Drawn("tiny", tiny, more=size),
        Drawn("whole", draw_breast(seed=96), more=whole),
        Drawn("against", draw_breast(seed=97), more={"faces": "left", "mirrored": True}),
        Drawn("mask", draw_breast(seed=98), {"l": ("mass", "benign", disc(30, 270, 20))}),
    ]
    return write_store(tmp_path_factory.mktemp("odd") / "store", [*ordinary, *planted])


@pytest.fixture(scope="module")
def odd(odd_store: Store) -> list[Odd]:
    names = odd_store.images["image"].to_list()
    measured = {name: measure_crop(odd_store.read_crop(name), odd_store.read_masks(name)) for name in names}
    return find_odd(odd_store.images, measured)


def test_each_planted_oddity_is_found_and_no_ordinary_image_is_odd(odd: list[Odd]) -> None:
    found = {(one.way, one.image) for one in odd}
    assert found == {
        ("brightness", "bright"),
        ("brightness", "dark"),
        ("cut", "cut"),
        ("direction", "against"),
        ("flat", "flat"),
        ("mask", "mask"),
        ("saturated", "flat"),  # all of its pixels have its largest value
        ("saturated", "saturated"),
        ("text", "text"),
        ("tiny", "tiny"),
        ("turned", "turned"),
        ("whole", "whole"),
    }
    assert {one.way for one in odd} == set(ODDITIES)


def test_odd_images_are_shown_with_the_reason_and_counted_among_those_that_were_looked_at(odd_store: Store) -> None:
    document = describe_store(odd_store, measured=31)
    (item,) = _gallery(document, "text").items
    assert (item.title, len(item.images)) == ("text", 1)
    assert item.lines[0].startswith("bright marks beside the breast: ")
    assert _rows(document, "odd")[ODDITIES["text"]] == {"images": 1, "looked at": 31, "which": "text"}
    few = describe_store(odd_store, measured=5)
    rows = _rows(few, "odd")
    assert rows[ODDITIES["text"]]["looked at"] == 5
    assert (rows[ODDITIES["direction"]]["looked at"], rows[ODDITIES["direction"]]["images"]) == (31, 1)


def test_a_dark_image_looks_dark_on_the_page(odd_store: Store) -> None:
    gallery = _gallery(describe_store(odd_store), "brightness")
    brightness = {item.title: _decode(item.images[0][1])[130:230, 20:100].mean() for item in gallery.items}
    assert brightness["dark"] < 30
    assert brightness["bright"] > 200


def test_the_sample_takes_from_every_group_and_the_same_seed_takes_the_same(tmp_path: Path) -> None:
    images = [Drawn(f"a{n}", draw_breast(seed=n)) for n in range(12)]
    images += [Drawn(f"b{n}", draw_breast(seed=n), more={"vendor": "Other"}) for n in range(3)]
    store = write_store(tmp_path / "store", images)
    first, again = (describe_store(store, measured=6, seed=1) for _ in range(2))
    figure = _parts(first)["grey_values"]
    assert isinstance(figure, Figure)
    assert {name: group["images"] for name, group in figure.data.items()} == {
        "drawn, Maker, 16 bits": 3,
        "drawn, Other, 16 bits": 3,
    }
    assert "6 of 15 prepared images" in figure.caption
    assert [i.title for i in _gallery(first, "random").items] == [i.title for i in _gallery(again, "random").items]


def test_a_store_of_uncropped_images_is_a_warning(tmp_path: Path) -> None:
    whole = {"source_rows": ROWS, "source_cols": COLS, "crop_top": 0, "crop_left": 0}
    images = [Drawn(f"i{n}", draw_breast(seed=n), more=whole if n else {}) for n in range(3)]
    document = describe_store(write_store(tmp_path / "store", images))
    assert any(text.startswith("Nothing was cropped of 2 of 3 prepared images") for text in document.warnings)


def test_a_flow_diagram_holds_every_text_and_its_last_step_leaves_nothing_out() -> None:
    steps = [FlowStep("Listed", ("3 images",), ("Left out: 1 image", "1: <b>&")), FlowStep("Kept", ("2 images",))]
    svg = draw_flow(steps)
    for text in ("Listed", "3 images", "Left out: 1 image", "1: &lt;b&gt;&amp;", "Kept", "2 images"):
        assert f">{text}</text>" in svg
    with pytest.raises(ValueError, match="the last one cannot leave anything out"):
        draw_flow(steps[:1])
    with pytest.raises(ValueError, match="no reason below it"):
        FlowStep("Listed", (), ("Left out: 1 image",))


# ---- split and audit


@pytest.fixture(scope="module")
def leaking(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Eight women with two images each; the last image is the first one, mirrored in its file and darker."""
    images = []
    for n in range(8):
        for side, more in (("l", {}), ("r", RIGHT)):
            own = {"exam": f"e{n}", "patient": f"drawn/p{n}", "malignant": n % 2 == 0, "benign": n == 3, **more}
            images.append(Drawn(f"i{n}{side}", draw_breast(seed=2 * n + (side == "r")), more=own))
    copy = np.ascontiguousarray(draw_breast(seed=0) // 2)
    images.append(Drawn("copy", copy, more={"exam": "e9", "patient": "drawn/p9", **RIGHT}))
    return write_store(tmp_path_factory.mktemp("leaking") / "store", images)


def _split(store: Store, parts: dict[str, str]) -> Split:
    left_out = {image: "not wanted" for image in store.images["image"] if image not in parts}
    hashes = hash_images(store.manifest), hash_images(store.manifest, pixels=False)
    return Split(parts, left_out, {"by": "patient", "folds": None}, 7, *hashes)


def test_units_and_labels_of_each_part_are_counted(leaking: Store) -> None:
    parts = {image: "train" if image < "i4" else "test" for image in leaking.images["image"] if image != "i7r"}
    document = describe_store(leaking, split=_split(leaking, parts))
    rows = _rows(document, "split_parts")
    assert list(rows) == ["train", "test", "no part"]
    assert rows["train"] == {
        "images": 9,
        "breasts": 9,
        "exams": 5,
        "patients": 5,
        "malignant images": 4,
        "benign images": 2,
        "patients with malignant finding": 2,
    }
    assert (rows["test"]["images"], rows["no part"]["images"]) == (7, 1)
    table = _parts(document)["split_left_out"]
    assert isinstance(table, Table)
    assert table.rows == (("not wanted", 1),)


def test_leaks_stand_on_top_and_pairs_are_shown_side_by_side(leaking: Store) -> None:
    parts = {image: "test" if image in ("copy", "i3l") else "train" for image in leaking.images["image"]}
    split = _split(leaking, parts)
    found = audit(leaking, split)
    document = describe_store(leaking, found, split=split)
    (warning,) = (text for text in document.warnings if "Leaks" in text)
    assert warning.startswith("Leaks across the split: 1 patient, 1 exam, 1 picture in more than one part")
    table = _parts(document)["findings"]
    assert isinstance(table, Table)
    assert [row[0] for row in table.rows] == ["leak"] * 3
    assert {row[2] for row in table.rows} == {"i3l, i3r", "copy, i0l"}
    (item,) = _gallery(document, "copies").items
    assert item.title == "copy and i0l"
    assert len(item.images) == 2
    assert "leak: in test and train" in item.lines
    assert "of 2 patients" in item.lines


def test_an_audit_without_findings_says_how_much_was_compared(counted: Store) -> None:
    document = describe_store(counted, audit(counted))
    (section,) = (section for section in document.sections if section.name == "audit")
    assert section.parts == ()
    assert section.text[0].startswith("5 images were compared with each other (10 pairs)")
    assert section.text[-1] == "Nothing was found."


# ---- pictures


def test_an_outline_encloses_its_lesion_in_the_file_direction() -> None:
    pixels = draw_breast(seed=3)
    mask = disc(120, 60, 20)
    pixels[mask] = 60000
    for mirrored in (False, True):
        content = draw_small(pixels, {"l": mask}, {"l": COLOURS["malignant"]}, mirrored=mirrored)
        assert len(content) <= MOST_BYTES
        picture = _decode(content).astype(int)
        red = (picture[..., 0] - picture[..., 2]) > 100
        rows, cols = np.nonzero(red)
        middle = rows.mean() * ROWS / picture.shape[0], cols.mean() * COLS / picture.shape[1]
        expected = (120, COLS - 1 - 60 if mirrored else 60)
        assert middle == pytest.approx(expected, abs=3)
        inside = picture[int(middle[0] * picture.shape[0] / ROWS), int(middle[1] * picture.shape[1] / COLS)]
        assert inside.min() > 200  # the lesion itself is white


def test_a_lesion_of_a_few_pixels_is_seen() -> None:
    picture = _decode(
        draw_small(draw_breast(), {"l": disc(200, 100, 1)}, {"l": COLOURS["benign"]}, mirrored=False)
    ).astype(int)
    blue = (picture[..., 2] - picture[..., 0]) > 60
    assert np.ptp(np.nonzero(blue)[0]) >= 12


def test_a_picture_of_noise_is_small_enough() -> None:
    noise = np.random.default_rng(0).integers(1, 65535, (3000, 2500)).astype(np.uint16)
    coarse = np.random.default_rng(0).integers(1, 65535, (360, 300)).astype(np.uint16)
    for pixels in (noise, coarse):
        assert len(draw_small(pixels, {}, {}, mirrored=False)) <= MOST_BYTES
