"""Preparing a set: the right pixels and masks, the same bytes however it was run, and nothing lost in silence."""

from __future__ import annotations

import csv
import errno
import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np
import polars as pl
import pytest

from fourview.datasets.pathology import UNKNOWN_TERM
from fourview.datasets.record import Dataset, ImageRecord, Listing
from fourview.datasets.regions import draw_region
from fourview.exam import ExamError, Mammogram, SetupError, Side, View
from fourview.ingest.raster import read_png
from fourview.store.audit import audit
from fourview.store.lock import FILE as LOCK_FILE
from fourview.store.lock import held_lock
from fourview.store.prepare import PrepareResult, PrepareStep, prepare
from fourview.store.prepare_image import LOAD_READS
from fourview.store.selection import CROP_FAILED, OTHER_VIEW, UNREADABLE, Selection
from fourview.store.splits import make_split
from fourview.store.store import Store
from tests.store import png_set
from tests.store.png_set import CROP, DATASET, Drawn, four_views, region_of, spot_of, write_set

KINDS = ("circle", "box", "polygon", "mask file")


def make(root: Path, out: Path, **options: Any) -> PrepareResult:
    return prepare(options.pop("dataset", DATASET), root, out, crop=CROP, **options)


def content(store: Path) -> dict[str, bytes]:
    """Every file of a store by its name, but for the lock."""
    files = sorted(path for path in store.rglob("*") if path.is_file() and path.name != LOCK_FILE)
    return {str(path.relative_to(store)): path.read_bytes() for path in files}


def failures(store: Path) -> list[dict[str, str]]:
    with (store / "failures.csv").open() as file:
        return list(csv.DictReader(file))


# --- pixels and masks -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", list(Side))
@pytest.mark.parametrize("kind", KINDS)
def test_the_brightest_pixel_of_a_lesion_lies_in_its_mask(tmp_path: Path, kind: str, side: Side) -> None:
    write_set(tmp_path / "set", [Drawn("e", f"{side}-MLO", kind)])
    make(tmp_path / "set", tmp_path / "store")
    store = Store.open(tmp_path / "store")
    (row,) = store.images.to_dicts()
    crop = store.read_crop(row["image"])
    (mask,) = store.read_masks(row["image"]).values()
    spot = np.unravel_index(crop.argmax(), crop.shape)
    assert crop[spot] == 60000
    assert mask.shape == crop.shape
    assert mask[spot]


@pytest.mark.parametrize("side", list(Side))
@pytest.mark.parametrize("kind", KINDS)
def test_mask_and_crop_lead_back_to_the_very_pixels_of_the_file(tmp_path: Path, kind: str, side: Side) -> None:
    write_set(tmp_path / "set", [Drawn("e", f"{side}-CC", kind)])
    make(tmp_path / "set", tmp_path / "store")
    store = Store.open(tmp_path / "store")
    (row,) = store.images.to_dicts()
    box = slice(row["crop_top"], row["crop_bottom"]), slice(row["crop_left"], row["crop_right"])
    source, _ = read_png((tmp_path / "set" / row["file"]).read_bytes(), "x")
    turn = -1 if row["mirrored"] else 1
    assert row["mirrored"] == (side is Side.RIGHT)
    assert (row["source_rows"], row["source_cols"]) == source.shape
    np.testing.assert_array_equal(store.read_crop(row["image"])[:, ::turn], source[box])
    drawn = draw_region(region_of(kind, side, tmp_path / "set"), source.shape)
    assert drawn.any()
    assert drawn[spot_of(side)]
    np.testing.assert_array_equal(store.read_masks(row["image"])["mass-1"][:, ::turn], drawn[box])
    (lesion,) = row["lesions"]
    inside = np.argwhere(store.read_masks(row["image"])["mass-1"])
    assert [lesion[edge] for edge in ("top", "left")] == inside.min(axis=0).tolist()
    assert [lesion[edge] - 1 for edge in ("bottom", "right")] == inside.max(axis=0).tolist()
    assert (lesion["lesion"], lesion["mask"], lesion["descriptors"]) == ("mass-1", 0, '{"shape": "ROUND"}')


def test_every_stored_breast_faces_right(tmp_path: Path) -> None:
    write_set(tmp_path / "set", four_views(1))
    make(tmp_path / "set", tmp_path / "store")
    store = Store.open(tmp_path / "store")
    assert store.images.height == 4
    for image in store.images["image"]:
        crop = store.read_crop(image) > 0
        assert crop[:, 0].sum() > 100, "the chest wall is at the left"
        assert not crop[:, -1].any(), "and the margin of the nipple at the right"


def test_a_lesion_outside_the_crop_has_no_mask_and_the_image_says_so(tmp_path: Path) -> None:
    write_set(tmp_path / "set", [Drawn("e", "L-CC", "circle")])

    def find(root: Path) -> Listing:
        (record,) = png_set.find(root).records
        (lesion,) = record.lesions
        moved = replace(lesion, region=png_set.Circle(5, 235, 3))
        half = replace(lesion, lesion="half", region=png_set.Circle(150, 158, 6))
        beyond = replace(lesion, lesion="beyond", region=png_set.Circle(900, 900, 3))
        lost = replace(lesion, lesion="lost", region=png_set.MaskFile(root / "no.png"))
        return Listing((replace(record, lesions=(moved, half, beyond, lost)),))

    make(tmp_path / "set", tmp_path / "store", dataset=replace(DATASET, find=find))
    store = Store.open(tmp_path / "store")
    (row,) = store.images.to_dicts()
    assert [lesion["mask"] for lesion in row["lesions"]] == [None, 1, None, None]
    assert list(store.read_masks(row["image"])) == ["half"]
    said = " / ".join(row["warnings"])
    assert "mass-1: its outline lies outside the crop" in said
    assert "% of its outline lies outside the crop" in said
    assert "beyond: its outline lies outside the image" in said
    assert "lost: no mask: " in said


# --- the same bytes ---------------------------------------------------------------------------------------------------


def test_one_job_and_two_jobs_write_the_same_bytes(tmp_path: Path) -> None:
    write_set(tmp_path / "set", four_views(3))
    make(tmp_path / "set", tmp_path / "one")
    make(tmp_path / "set", tmp_path / "two", jobs=2)
    one = content(tmp_path / "one")
    assert len(one) == 12 + 4
    assert one == content(tmp_path / "two")


KILLED = """
import os, signal, sys
from pathlib import Path
from fourview.store.prepare import prepare
from tests.store.png_set import CROP, DATASET

def step(step):
    if step.done == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)

if __name__ == "__main__":
    prepare(DATASET, Path(sys.argv[1]), Path(sys.argv[2]), crop=CROP, jobs=int(sys.argv[4]), resume=True, on_step=step)
"""


@pytest.mark.parametrize("jobs", [1, 2])
def test_killed_twice_and_resumed_the_same_bytes_come_out(tmp_path: Path, jobs: int) -> None:
    write_set(tmp_path / "set", four_views(4))
    make(tmp_path / "set", tmp_path / "whole")
    (tmp_path / "killed.py").write_text(KILLED)
    root = Path(__file__).parents[2]
    for at in (3, 9):
        ran = subprocess.run(
            [
                sys.executable,
                str(tmp_path / "killed.py"),
                str(tmp_path / "set"),
                str(tmp_path / "cut"),
                str(at),
                f"{jobs}",
            ],
            check=False,
            stdout=subprocess.DEVNULL,  # no pipes: workers that outlive the run for a while would hold them open
            stderr=subprocess.DEVNULL,
            timeout=120,
            env=os.environ | {"PYTHONPATH": f"{root}{os.pathsep}{root / 'src'}"},
        )
        assert ran.returncode == -signal.SIGKILL
        with pytest.raises(SetupError, match="add --resume"):
            Store.open(tmp_path / "cut")
    (tmp_path / "cut" / "images" / "00").mkdir(exist_ok=True)
    (tmp_path / "cut" / "images" / "00" / ".half.h5.abcd.part").write_bytes(b"half")
    steps: list[PrepareStep] = []
    result = make(tmp_path / "set", tmp_path / "cut", resume=True, on_step=steps.append)
    assert result.already_there >= 9
    assert [step.done for step in steps] == [*range(1, 17)]
    assert content(tmp_path / "cut") == content(tmp_path / "whole")


def test_a_finished_store_is_taken_as_it_is(tmp_path: Path) -> None:
    write_set(tmp_path / "set", four_views(1))
    make(tmp_path / "set", tmp_path / "store")
    before = content(tmp_path / "store")
    result = make(tmp_path / "set", tmp_path / "store", resume=True)
    assert result.already_there == 4
    assert content(tmp_path / "store") == before


def test_a_corrected_label_makes_no_image_anew_but_another_file_does(tmp_path: Path) -> None:
    root, out = write_set(tmp_path / "set", four_views(1)), tmp_path / "store"
    make(root, out)
    listed = json.loads((root / png_set.LIST).read_text())
    (root / png_set.LIST).write_text(json.dumps([item | {"birads": "2"} for item in listed]))
    assert make(root, out, resume=True).already_there == 4
    assert Store.open(out).manifest["birads_class"].to_list() == [2] * 4
    (root / "e0_L-CC.png").write_bytes((root / "e0_L-MLO.png").read_bytes())
    assert make(root, out, resume=True).already_there == 3


def test_stored_files_that_were_cut_or_lost_a_byte_are_made_anew(tmp_path: Path) -> None:
    root, out = write_set(tmp_path / "set", four_views(1)), tmp_path / "store"
    make(root, out)
    before = content(out)
    cut, changed = (out / blob for blob in Store.open(out).images["blob"][:2])
    cut.write_bytes(cut.read_bytes()[:1000])
    damaged = bytearray(changed.read_bytes())
    damaged[len(damaged) // 3] ^= 0xFF
    changed.write_bytes(damaged)
    assert make(root, out, resume=True).already_there == 2
    assert content(out) == before


def test_stored_files_that_were_exchanged_are_made_anew(tmp_path: Path) -> None:
    root, out = write_set(tmp_path / "set", four_views(1)), tmp_path / "store"
    make(root, out)
    before = content(out)
    one, other = (out / blob for blob in Store.open(out).images["blob"][:2])
    kept = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(kept)
    assert make(root, out, resume=True).already_there == 2
    assert content(out) == before


def test_a_mask_and_a_description_that_lost_a_byte_are_made_anew(tmp_path: Path) -> None:
    root, out = write_set(tmp_path / "set", four_views(1)), tmp_path / "store"
    make(root, out)
    before = content(out)
    masked, described = (out / blob for blob in Store.open(out).images["blob"][:2])
    with h5py.File(masked) as file:
        tile = file["masks/0"].id.get_chunk_info(0)
    damaged = bytearray(masked.read_bytes())
    damaged[tile.byte_offset + tile.size // 2] ^= 0xFF
    masked.write_bytes(damaged)
    changed = described.read_bytes().replace(b'"source_cols":240', b'"source_cols":940')
    assert changed != described.read_bytes()
    described.write_bytes(changed)
    assert make(root, out, resume=True).already_there == 2
    assert content(out) == before


def test_corrected_words_of_a_pathology_report_make_no_image_anew(tmp_path: Path) -> None:
    root, out = write_set(tmp_path / "set", four_views(1)), tmp_path / "store"

    def say(term: str) -> Dataset:
        def find(root: Path) -> Listing:
            said = {"malignant": None, "more": {"pathology": term}}
            return Listing(tuple(replace(record, **said) for record in png_set.find(root).records))  # type: ignore[arg-type]

        return replace(DATASET, find=find)

    make(root, out, dataset=say("cyst"))
    assert make(root, out, dataset=say("DCIS"), resume=True).already_there == 4
    assert Store.open(out).manifest["malignant"].to_list() == [True] * 4


def test_a_word_that_images_are_read_by_makes_them_anew_and_another_one_does_not(tmp_path: Path) -> None:
    root, out = write_set(tmp_path / "set", [Drawn("e", "L-CC"), Drawn("e", "L-MLO")]), tmp_path / "store"

    def load(record: ImageRecord) -> Mammogram:
        return replace(png_set.load_record(record), warnings=(f"read by {sorted(record.more.items())}",))

    def say(**more: str) -> Dataset:
        def find(root: Path) -> Listing:
            return Listing(tuple(replace(record, more=more) for record in png_set.find(root).records))

        return replace(DATASET, find=find, load=load)

    def warned() -> set[str]:
        return {said for warnings in Store.open(out).manifest["warnings"] for said in warnings}

    make(root, out, dataset=say(faces="right", comment="a", site="north"))
    assert make(root, out, dataset=say(faces="right", comment="b", round="2"), resume=True).already_there == 2
    assert Store.open(out).manifest["more"].str.json_path_match("$['comment']").to_list() == ["b", "b"]
    assert warned() == {"read by [('faces', 'right')]"}, "load gets what is hashed, and nothing else"
    assert make(root, out, dataset=say(faces="left", comment="b"), resume=True).already_there == 0
    assert warned() == {"read by [('faces', 'left')]"}


def test_all_words_that_importers_read_images_by_are_known() -> None:
    files = (Path(__file__).parents[2] / "src" / "fourview" / "datasets").glob("*.py")
    found = {word for file in files for word in re.findall(r"record\.more(?:\[|\.get\()\"(\w+)\"", file.read_text())}
    assert found == set(LOAD_READS)


# --- stored files that nobody reads any more --------------------------------------------------------------------------


def test_what_other_settings_left_is_named_and_stays_until_it_is_to_be_removed(tmp_path: Path) -> None:
    root, out = write_set(tmp_path / "set", [*four_views(1), Drawn("e1", "L-CC")]), tmp_path / "store"
    assert make(root, out).unused == ()
    before = Store.open(out).manifest
    (alone,) = before.filter(exam="e1")["blob"]
    (changed,) = before.filter(image="e0_L-CC")["blob"]
    size = (out / alone).stat().st_size + (out / changed).stat().st_size
    (root / "e0_L-CC.png").write_bytes((root / "e0_L-MLO.png").read_bytes())
    (out / "images" / "mine.h5").write_bytes(b"of the user")
    options = {"selection": Selection("four-views"), "resume": True}
    result = make(root, out, **options)
    assert (set(result.unused), result.unused_bytes, result.removed) == ({alone, changed}, size, False)
    assert (out / alone).is_file(), "named, not removed"
    result = make(root, out, **options, remove_unused=True)
    assert (set(result.unused), result.removed) == ({alone, changed}, True)
    assert make(root, out, **options).unused == ()
    (out / "images" / "mine.h5").unlink()
    make(root, tmp_path / "fresh", selection=Selection("four-views"))
    assert content(out) == content(tmp_path / "fresh")


def test_files_of_images_that_a_rule_took_out_after_reading_are_in_use(tmp_path: Path) -> None:
    root, out = write_set(tmp_path / "set", four_views(1)), tmp_path / "store"
    cv2.imwrite(str(root / "e0_L-CC.png"), png_set.draw_breast(right=False, seed=9, gap=20))
    make(root, out)
    result = make(root, out, resume=True, selection=Selection(gap="reject"), remove_unused=True)
    assert (result.excluded, result.unused) == (1, ())
    assert make(root, out, resume=True).already_there == 4


# --- what else the set says -------------------------------------------------------------------------------------------


def test_other_columns_of_the_set_can_be_selected_on(tmp_path: Path) -> None:
    root = write_set(tmp_path / "set", [Drawn("e", "L-CC"), Drawn("e", "R-CC"), Drawn("e", "L-LM")])
    said: tuple[dict[str, str], ...] = ({"site": "north", "rad_timing": "2"}, {"half-year": "1"}, {"site": "süd"})

    def find(root: Path) -> Listing:
        records = png_set.find(root).records
        return Listing(tuple(replace(record, more=more) for record, more in zip(records, said, strict=True)))

    make(root, tmp_path / "store", dataset=replace(DATASET, find=find))
    rows = Store.open(tmp_path / "store").manifest
    assert rows["more"].to_list() == ['{"rad_timing": "2", "site": "north"}', '{"half-year": "1"}', '{"site": "süd"}']
    assert rows.filter(pl.col("more").str.json_path_match("$['site']") == "north")["image"].to_list() == ["e_L-CC"]
    assert rows["more"].str.json_path_match("$['half-year']").to_list() == [None, "1", None]


def test_free_columns_of_your_own_csv_are_in_the_store_and_a_comment_makes_no_image_anew(tmp_path: Path) -> None:
    from fourview.datasets.own import DATASET as OWN

    root, out = write_set(tmp_path / "set", [Drawn("e", "L-CC")]), tmp_path / "store"

    def say(comment: str) -> None:
        rows = ["file,patient,side,view,malignant,site,comment", f"e_L-CC.png,p,L,CC,1,north,{comment}"]
        (root / "labels.csv").write_text("\n".join(rows) + "\n")

    say("a")
    make(root, out, dataset=OWN)
    say("b")
    assert make(root, out, dataset=OWN, resume=True).already_there == 1
    assert Store.open(out).manifest["more"].to_list() == ['{"comment": "b", "site": "north"}']


def test_images_without_a_patient_are_said_at_once(tmp_path: Path) -> None:
    root = write_set(tmp_path / "set", [Drawn("e", "L-CC"), Drawn("e", "R-CC"), Drawn("e", "L-LM")])

    def find(root: Path) -> Listing:
        first, *others = png_set.find(root).records
        return Listing((first, *(replace(record, patient=None) for record in others)), warnings=("films",))

    result = make(root, tmp_path / "store", dataset=replace(DATASET, find=find))
    said = "1 of 2 images have no patient: this set cannot be split by patient"
    assert result.set_warnings == ("films", said), "excluded ones are in no split"
    assert make(root, tmp_path / "other").set_warnings == ()


# --- bad input --------------------------------------------------------------------------------------------------------


def test_one_bad_file_is_one_line_and_one_failed_row(tmp_path: Path) -> None:
    root, out = write_set(tmp_path / "set", four_views(2)), tmp_path / "store"
    (root / "e0_R-CC.png").write_bytes((root / "e0_R-CC.png").read_bytes()[:5000])
    (root / "e1_L-CC.png").unlink()
    result = make(root, out)
    assert (result.prepared, result.failed, result.excluded) == (6, 2, 0)
    lines = failures(out)
    assert [(line["kind"], line["file"], line["rule"]) for line in lines] == [
        ("image", "e0_R-CC.png", UNREADABLE),
        ("image", "e1_L-CC.png", UNREADABLE),
    ]
    assert "cut off" in lines[0]["reason"]
    rows = Store.open(out).manifest.filter(status="failed")
    assert rows["image"].to_list() == ["e0_R-CC", "e1_L-CC"]
    assert rows["reason"].to_list() == [line["reason"] for line in lines]
    assert rows["blob"].to_list() == [None, None]


def test_what_did_not_become_an_image_is_listed_too(tmp_path: Path) -> None:
    root = write_set(tmp_path / "set", four_views(1))

    def find(root: Path) -> Listing:
        return replace(png_set.find(root), problems=(("case 7", "no image"),), warnings=("half a set",))

    result = make(root, tmp_path / "store", dataset=replace(DATASET, find=find))
    assert (result.problems, result.set_warnings) == (1, ("half a set",))
    assert failures(tmp_path / "store")[0] == {
        "kind": "listing",
        "file": "case 7",
        "image": "",
        "rule": "",
        "reason": "no image",
    }
    flow = json.loads((tmp_path / "store" / "flow.json").read_text())
    assert (flow["listing_problems"], flow["images_listed"], flow["set_warnings"]) == (1, 4, ["half a set"])


def load_badly(record: ImageRecord) -> Mammogram:
    if record.image == "e0_L-CC":
        raise RuntimeError("surprise")
    if record.image == "e0_R-CC":
        return Mammogram(np.zeros((50, 50), np.uint16), View.R_CC, record.image, "left")
    if record.image == "e0_L-MLO":
        return Mammogram(np.ones((50, 50), np.uint16), View.L_CC, record.image, "right")
    raise ExamError("unreadable")


def test_whatever_is_wrong_with_an_image_stops_nothing_and_is_told_apart(tmp_path: Path) -> None:
    root = write_set(tmp_path / "set", four_views(1))
    result = make(root, tmp_path / "store", dataset=replace(DATASET, load=load_badly))
    assert (result.prepared, result.failed) == (0, 4)
    rows = Store.open(tmp_path / "store").manifest
    assert rows["rule"].to_list() == [UNREADABLE, CROP_FAILED, UNREADABLE, UNREADABLE]
    assert "unexpected RuntimeError at test_prepare.py" in rows["reason"][0]
    assert "the set says L-MLO, the file L-CC" in rows["reason"][2]


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="no such file names there")
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_file_name_that_is_no_text_is_shown_as_its_bytes(tmp_path: Path, jobs: int) -> None:
    root = write_set(tmp_path / "set", four_views(1))
    raw = os.fsdecode(b"\xff")  # a lone surrogate
    (root / "e0_L-CC.png").rename(root / f"{raw}L-CC.png")
    (root / f"{raw}R-CC.bin").write_bytes(b"no picture")

    def find(root: Path) -> Listing:
        left, right, *others = png_set.find(root).records
        (lesion,) = left.lesions
        lesion = replace(lesion, lesion=raw, descriptors={raw: raw}, region=png_set.MaskFile(root / f"{raw}.png"))
        left = replace(left, image=f"{raw}L-CC", path=root / f"{raw}L-CC.png", exam=raw, patient=raw, vendor=raw)
        left = replace(left, lesions=(lesion,), more={raw: raw}, warnings=(f"{raw} is odd",))
        right = replace(right, image=f"{raw}R-CC", path=root / f"{raw}R-CC.bin")
        return Listing((left, right, *others), problems=((raw, f"no {raw}"),), warnings=(f"a {raw}",))

    out = tmp_path / "store"
    steps: list[PrepareStep] = []
    result = make(root, out, dataset=replace(DATASET, find=find), jobs=jobs, on_step=steps.append)
    shown = r"\udcff"
    assert (result.prepared, result.failed, result.set_warnings) == (3, 1, (f"a {shown}",))
    first, second = Store.open(out).manifest.to_dicts()[:2]
    assert [first[name] for name in ("image", "file", "exam", "patient", "vendor", "more")] == [
        f"{shown}L-CC",
        f"{shown}L-CC.png",
        shown,
        f"drawn/{shown}",
        shown,
        json.dumps({shown: shown}),
    ]
    assert first["lesions"][0]["lesion"] == shown
    assert f"{shown} is odd" in first["warnings"]
    assert any(f"{shown}.png: the mask is not there" in said for said in first["warnings"]), "said by the reader"
    assert f"{shown}R-CC.bin is neither DICOM" in second["reason"]
    assert Store.open(out).read_crop(f"{shown}L-CC").any()
    assert failures(out)[0]["reason"] == f"no {shown}"
    assert [step.image for step in steps][:2] == [f"{shown}L-CC", f"{shown}R-CC"]
    again = make(root, out, dataset=replace(DATASET, find=find), jobs=jobs, resume=True)
    assert again.already_there == 3


def test_a_file_of_your_own_that_goes_away_meanwhile_is_not_named(tmp_path: Path) -> None:
    from fourview.datasets.own import DATASET as OWN

    root = write_set(tmp_path / "set", [Drawn("e0", "L-CC"), Drawn("e0", "R-CC")])
    rows = ["file,patient,side,view,malignant"]
    for side in ("L", "R"):
        (root / f"e0_{side}-CC.png").rename(root / f"MUELLER_{side}.png")
        rows.append(f"MUELLER_{side}.png,MUELLER,{side},CC,1")
    (root / "labels.csv").write_text("\n".join(rows) + "\n")

    def find(root: Path) -> Listing:
        listing = OWN.find(root)
        (root / "MUELLER_L.png").unlink()
        return listing

    def load(record: ImageRecord) -> Mammogram:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(record.path))

    result = make(root, tmp_path / "store", dataset=replace(OWN, find=find, load=load))
    assert result.failed == 2
    left, right = failures(tmp_path / "store")
    assert left["reason"] == f"{left['image']}: its file cannot be read (No such file or directory); need the image"
    assert right["reason"].startswith("unexpected PermissionError at test_prepare.py:")
    assert right["reason"].endswith(": Permission denied")
    for path in (tmp_path / "store").rglob("*"):
        assert path.is_dir() or b"MUELLER" not in path.read_bytes()


def test_a_mask_that_may_not_be_read_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write_set(tmp_path / "set", [Drawn("e", "L-CC", "mask file")])
    read = Path.read_bytes

    def refuse(path: Path) -> bytes:
        if path.name == "mask_L.png":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return read(path)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "read_bytes", refuse)
        assert make(root, tmp_path / "store").prepared == 1
    (row,) = Store.open(tmp_path / "store").images.to_dicts()
    assert "lesion mass-1: no mask: mask_L.png: the mask cannot be read (Permission denied)" in str(row["warnings"])
    assert make(root, tmp_path / "store", resume=True).already_there == 0, "now it can be read"
    assert Store.open(tmp_path / "store").read_masks("e_L-CC")


def test_other_views_are_never_read_and_whole_exams_can_be_asked_for(tmp_path: Path) -> None:
    drawn = [*four_views(1), Drawn("e0", "L-LM"), Drawn("e1", "L-CC")]
    root = write_set(tmp_path / "set", drawn)
    (root / "e0_L-LM.png").write_bytes(b"no picture")
    result = make(root, tmp_path / "store", selection=Selection("four-views"))
    assert (result.prepared, result.excluded, result.failed) == (4, 2, 0)
    assert {step.name: step.images_removed for step in result.flow if step.images_removed} == {
        OTHER_VIEW: 1,
        "four views listed": 1,
    }
    flow = json.loads((tmp_path / "store" / "flow.json").read_text())
    assert flow["steps"][-1]["images_left"] == 4


def test_pathology_terms_become_labels_and_unknown_ones_are_counted(tmp_path: Path) -> None:
    root = write_set(tmp_path / "set", [Drawn("e", "L-CC"), Drawn("e", "R-CC"), Drawn("e", "L-MLO")])

    def find(root: Path) -> Listing:
        terms = ("ADH; invasive ductal carcinoma", "wart", "wart; wart")
        records = png_set.find(root).records
        return Listing(
            tuple(
                replace(record, malignant=None, more={"pathology": term}, warnings=(f"{UNKNOWN_TERM}wart",))
                if term == "wart"  # said by the importer already
                else replace(record, malignant=None, more={"pathology": term})
                for record, term in zip(records, terms, strict=True)
            )
        )

    make(root, tmp_path / "store", dataset=replace(DATASET, find=find))
    rows = Store.open(tmp_path / "store").manifest
    assert rows["malignant"].to_list() == [True, None, None]
    assert rows["benign"].to_list() == [True, None, None]
    assert rows["high_risk"].to_list() == [True, False, False]
    flow = json.loads((tmp_path / "store" / "flow.json").read_text())
    assert flow["unknown_pathology_terms"] == {"wart": 2}


def test_a_set_without_images_or_with_a_name_twice_is_refused(tmp_path: Path) -> None:
    root = write_set(tmp_path / "set", [Drawn("e", "L-CC"), Drawn("e", "L-CC")])
    with pytest.raises(SetupError, match="listed twice"):
        make(root, tmp_path / "store")
    with pytest.raises(SetupError, match=r"no image is listed \(0 problems\); need a complete copy"):
        make(root, tmp_path / "store", dataset=replace(DATASET, find=lambda _: Listing(())))
    empty = Listing((), problems=(("a.png", "no picture"), ("b.png", "no picture either")))
    with pytest.raises(SetupError, match=r"no image is listed \(2 problems, the first: a\.png: no picture\)"):
        make(root, tmp_path / "store", dataset=replace(DATASET, find=lambda _: empty))
    assert not (tmp_path / "store").exists()


# --- the output folder ------------------------------------------------------------------------------------------------


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path: Path) -> None:
    root = write_set(tmp_path / "set", [Drawn("e", "L-CC")])
    make(root, tmp_path / "store")
    with pytest.raises(SetupError, match="add --resume"):
        make(root, tmp_path / "store")
    with pytest.raises(SetupError, match="holds the set 'drawn', not 'other'"):
        make(root, tmp_path / "store", resume=True, dataset=replace(DATASET, name="other"))
    with pytest.raises(SetupError, match="was prepared with the crop"):
        prepare(DATASET, root, tmp_path / "store", crop=replace(CROP, buffer_px=3), resume=True)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("all of it")
    with pytest.raises(SetupError, match="no store"):
        make(root, tmp_path / "mine", resume=True)
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "all of it"


def test_a_run_that_was_killed_before_the_folder_was_a_store_is_begun_again(tmp_path: Path) -> None:
    root, out = write_set(tmp_path / "set", [Drawn("e", "L-CC")]), tmp_path / "store"
    out.mkdir()
    (out / ".store.json.0123abcd.part").write_text('{"form')
    assert make(root, out).prepared == 1
    assert not list(out.glob(".*.part"))


def test_what_killed_runs_left_half_written_is_cleared_away(tmp_path: Path) -> None:
    root, out = write_set(tmp_path / "set", [Drawn("e", "L-CC")]), tmp_path / "store"
    make(root, out)
    folder = (out / Store.open(out).images["blob"][0]).parent
    (out / "splits").mkdir()
    halves = [place / f".{name}.0123abcd.part" for place, name in ((out, "a"), (folder, "b"), (out / "splits", "c"))]
    for half in halves:
        half.write_bytes(b"half")
    make(root, out, resume=True)
    assert not any(half.exists() for half in halves)


def test_splits_and_audits_wait_for_the_run_that_writes(tmp_path: Path) -> None:
    root, out = write_set(tmp_path / "set", four_views(2)), tmp_path / "store"
    make(root, out)
    store = Store.open(out)
    split = make_split(store.manifest, fractions=(0.5, 0.5))
    found = audit(store)
    with held_lock(out):
        for write in (lambda: split.write(out, "s"), lambda: found.write(out)):
            with pytest.raises(SetupError, match="another run writes to this store"):
                write()
    assert split.write(out, "s").is_file()
    assert found.write(out).is_file()


HOLDER = """
import sys, time
from pathlib import Path
from fourview.store.lock import held_lock
with held_lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_run_is_refused_and_a_dead_one_leaves_no_lock(tmp_path: Path) -> None:
    root, out = write_set(tmp_path / "set", [Drawn("e", "L-CC")]), tmp_path / "store"
    out.mkdir()
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(out)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(SetupError, match="another run writes to this store"):
            make(root, out)
        holder.kill()
    assert make(root, out).prepared == 1


def test_the_lock_is_free_again_after_a_run_that_failed(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), held_lock(tmp_path):
        raise RuntimeError
    with held_lock(tmp_path):
        assert (tmp_path / LOCK_FILE).exists()


FULL = """
import resource, sys
from pathlib import Path
from fourview.exam import SetupError
from fourview.store.prepare import prepare
from tests.store.png_set import CROP, DATASET
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))  # as a full disk: every larger file fails to be written
if __name__ == "__main__":
    try:
        prepare(DATASET, Path(sys.argv[1]), Path(sys.argv[2]), crop=CROP, jobs=int(sys.argv[3]))
    except SetupError as error:
        print(error)
        sys.exit(2)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no limits on file sizes there")
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_full_disk_is_a_clear_error_and_leaves_nothing_half_written(tmp_path: Path, jobs: str) -> None:
    root, out = write_set(tmp_path / "set", four_views(1)), tmp_path / "store"
    (tmp_path / "full.py").write_text(FULL)
    project = Path(__file__).parents[2]
    ran = subprocess.run(
        [sys.executable, str(tmp_path / "full.py"), str(root), str(out), jobs],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | {"PYTHONPATH": f"{project}{os.pathsep}{project / 'src'}"},
    )
    assert ran.returncode == 2, ran.stderr
    assert f"cannot write {out}: File too large; make room" in ran.stdout
    assert [path.name for path in out.rglob("*") if path.is_file()] == [LOCK_FILE, "store.json"] or {
        path.name for path in out.rglob("*") if path.is_file()
    } == {LOCK_FILE, "store.json"}
    make(root, tmp_path / "whole")
    make(root, out, resume=True)
    assert content(out) == content(tmp_path / "whole")


def die(record: ImageRecord) -> Mammogram:
    if record.image == "e1_L-CC":
        os.kill(os.getpid(), signal.SIGKILL)  # as a system that runs out of memory does
    return png_set.load_record(record)


@pytest.mark.skipif(sys.platform == "win32", reason="no such signal there")
def test_a_worker_that_dies_is_a_clear_error_and_the_run_can_go_on(tmp_path: Path) -> None:
    root, out = write_set(tmp_path / "set", four_views(3)), tmp_path / "store"
    with pytest.raises(SetupError, match=r"--jobs 2: a worker process died .* --resume"):
        make(root, out, dataset=replace(DATASET, load=die), jobs=2)
    make(root, out, resume=True, jobs=2)
    make(root, tmp_path / "whole")
    assert content(out) == content(tmp_path / "whole")


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_run_that_fails_leaves_nothing_half_written(tmp_path: Path, jobs: int) -> None:
    root, out = write_set(tmp_path / "set", four_views(1)), tmp_path / "store"

    def load(record: ImageRecord) -> Mammogram:
        half = out / "images" / "00" / f".{record.image}.h5.0123abcd.part"  # as of a worker that is ended meanwhile
        half.parent.mkdir(parents=True, exist_ok=True)
        half.write_bytes(b"half")
        raise SetupError("the set is wrong")

    with pytest.raises(SetupError, match="the set is wrong"):
        make(root, out, dataset=replace(DATASET, load=load), jobs=jobs)
    assert {path.name for path in out.rglob("*") if path.is_file()} <= {LOCK_FILE, "store.json"}


def test_a_disk_that_fills_up_on_the_way_leaves_the_store_of_before_readable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, out = write_set(tmp_path / "set", four_views(2)), tmp_path / "store"
    make(root, out)
    before = content(out)
    for name in ("e0_R-MLO", "e1_R-MLO"):  # two of eight are to be made anew
        (root / f"{name}.png").write_bytes((root / "e0_R-CC.png").read_bytes())
    write = Path.write_bytes

    def write_until_full(path: Path, data: bytes) -> int:
        if path.name.endswith(".part") and path.parent.parent.name == "images":
            write(path, data[:1000])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(path, data)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_bytes", write_until_full)
        with pytest.raises(SetupError, match=f"cannot write {out}: No space left on device; make room"):
            make(root, out, resume=True)
    assert content(out) == before
    assert all(Store.open(out).read_crop(image).any() for image in Store.open(out).images["image"])
    result = make(root, out, resume=True, remove_unused=True)
    assert (result.already_there, len(result.unused)) == (6, 2)
    make(root, tmp_path / "whole")
    assert content(out) == content(tmp_path / "whole")


# --- the cluster ------------------------------------------------------------------------------------------------------


def test_a_cluster_that_is_not_there_is_a_wrong_setup(tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    root = write_set(tmp_path / "set", [Drawn("e", "L-CC")])
    with pytest.raises(SetupError, match="need tcp://HOST:PORT"):
        make(root, tmp_path / "store", cluster="nowhere://x")


def test_without_dask_the_message_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    root = write_set(tmp_path / "set", [Drawn("e", "L-CC")])
    with pytest.raises(SetupError, match=r"pip install \"\.\[cluster\]\""):
        make(root, tmp_path / "store", cluster="tcp://127.0.0.1:1")


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_a_dask_cluster_writes_the_same_bytes(tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    root = write_set(tmp_path / "set", four_views(4))
    (root / "e2_R-CC.png").unlink()
    make(root, tmp_path / "one")
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        result = make(root, tmp_path / "many", cluster=cluster.scheduler_address)
    assert (result.prepared, result.failed) == (15, 1)
    assert content(tmp_path / "many") == content(tmp_path / "one")


def test_a_dataset_travels_to_other_processes(tmp_path: Path) -> None:
    closure = tmp_path.name  # a set that is defined on the spot, not importable

    def load(record: ImageRecord) -> Mammogram:
        return replace(png_set.load_record(record), warnings=(closure,))

    dataset = Dataset(**{**vars(DATASET), "load": load})
    root = write_set(tmp_path / "set", four_views(1))
    make(root, tmp_path / "store", dataset=dataset, jobs=2)
    assert all(closure in warnings for warnings in Store.open(tmp_path / "store").manifest["warnings"].to_list())


def test_a_set_of_your_own_writes_no_patient_id(tmp_path: Path) -> None:
    from fourview.datasets.own import DATASET as OWN

    root = write_set(tmp_path / "set", four_views(1))
    (root / "e0_L-CC.png").rename(root / "MUELLER_e0_L-CC.png")
    rows = ["file,patient,exam,side,view,malignant", "MUELLER_e0_L-CC.png,MUELLER,visit 7,L,CC,1"]
    (root / "labels.csv").write_text("\n".join(rows) + "\n")
    prepare(OWN, root, tmp_path / "store")
    assert Store.open(tmp_path / "store").manifest.height == 1
    for path in (tmp_path / "store").rglob("*"):
        if path.is_file():
            assert b"MUELLER" not in path.read_bytes(), path.name
    assert "MUELLER" not in str(Store.open(tmp_path / "store").manifest.to_dicts())
