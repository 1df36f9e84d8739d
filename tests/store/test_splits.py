"""Splits: no woman on two sides, shares kept, the same whatever the order of rows, refused where they must be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fourview.exam import SetupError
from fourview.store.manifest import make_table
from fourview.store.splits import Split, hash_images, make_split


def row(image: str, patient: str | None, **more: Any) -> dict[str, Any]:
    return {
        "dataset": "toy",
        "patient": patient,
        "exam": patient or image,
        "image": image,
        "status": "prepared",
        "pixels_sha256": f"hash of {image}",
        **more,
    }


def manifest(rows: list[dict[str, Any]]) -> pl.DataFrame:
    names = make_table([]).columns
    return make_table({name: row.get(name) for name in names} for row in rows)


def screening(patients: int = 400, *, seed: int = 0) -> pl.DataFrame:
    """Women with one to three exams of two breasts, one breast in twenty malignant, from two vendors."""
    rng = np.random.default_rng(seed)
    rows = []
    for patient in range(patients):
        vendor = "ab"[int(rng.random() < 0.2)]
        for exam in range(int(rng.integers(1, 4))):
            date = f"{2010 + int(rng.integers(0, 8))}-{int(rng.integers(1, 13)):02d}-{int(rng.integers(1, 29)):02d}"
            for side in "LR":
                more = {"malignant": rng.random() < 0.05, "benign": rng.random() < 0.3, "vendor": vendor, "date": date}
                name = f"{patient}-{exam}"
                rows.append(row(f"{name}-{side}", f"toy/{patient}", exam=name, side=side, **more))
    return manifest(rows)


def sides_of(table: pl.DataFrame, split: Split) -> dict[str, set[str]]:
    taken = split.assign(table).filter(pl.col("part").is_not_null())
    return {patient: set(group["part"]) for (patient,), group in taken.group_by("patient")}


WAYS: dict[str, dict[str, Any]] = {
    "folds": {"folds": 5},
    "stratified folds": {"folds": 5, "stratify": "label"},
    "fractions": {"fractions": (0.8, 0.1, 0.1)},
    "stratified fractions": {"fractions": (0.6, 0.2, 0.2), "stratify": "label"},
    "two shares": {"fractions": (0.7, 0.3), "stratify": "vendor"},
    "by date": {"by_date": True},
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
@pytest.mark.parametrize("seed", [0, 1])
def test_no_woman_is_in_two_parts_and_every_image_is_accounted_for(way: dict[str, Any], seed: int) -> None:
    table = screening()
    split = make_split(table, **way, seed=seed)
    assert all(len(parts) == 1 for parts in sides_of(table, split).values())
    assert split.parts.keys() | split.left_out.keys() == set(table["image"])


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
def test_the_order_of_rows_does_not_matter_and_the_seed_does(way: dict[str, Any]) -> None:
    table = screening(150)
    shuffled = table.sample(fraction=1, shuffle=True, seed=3)
    first = make_split(table, **way, seed=5)
    assert make_split(shuffled, **way, seed=5) == first
    if "by_date" not in way:
        assert make_split(table, **way, seed=6).parts != first.parts


@pytest.mark.parametrize("stratify", ["label", "vendor"])
def test_fractions_keep_their_shares_in_every_stratum(stratify: str) -> None:
    table = screening(600)
    split = make_split(table, fractions=(0.8, 0.1, 0.1), stratify=stratify)
    counts = split.count(table)
    assert counts["part"].to_list() == ["train", "validation", "test"]
    shares = counts["images"] / counts["images"].sum()
    assert shares.to_list() == pytest.approx([0.8, 0.1, 0.1], abs=0.01)
    if stratify == "label":
        rates = counts["malignant images"] / counts["images"]
        overall = counts["malignant images"].sum() / counts["images"].sum()
        assert rates.to_list() == pytest.approx([overall] * 3, abs=0.01)
    else:
        vendors = split.assign(table).group_by("part").agg(share=(pl.col("vendor") == "b").mean())
        assert vendors["share"].to_list() == pytest.approx([(table["vendor"] == "b").mean()] * 3, abs=0.01)


def test_folds_are_of_like_size_and_have_like_shares_of_cancers() -> None:
    table = screening(600)
    counts = make_split(table, folds=5, stratify="label").count(table)
    assert counts["part"].to_list() == [f"fold-{n}" for n in range(1, 6)]
    assert counts["images"].max() - counts["images"].min() <= 0.03 * counts["images"].sum()  # type: ignore[operator]
    assert counts["malignant images"].max() - counts["malignant images"].min() <= 4  # type: ignore[operator]


@given(st.lists(st.integers(1, 6), min_size=12, max_size=40), st.integers(0, 5))
def test_a_few_women_with_many_images_do_not_break_the_shares(images: list[int], seed: int) -> None:
    rows = [row(f"{p}-{i}", f"toy/{p}") for p, count in enumerate(images) for i in range(count)]
    table = manifest(rows)
    split = make_split(table, fractions=(0.5, 0.5), seed=seed)
    train = sum(part == "train" for part in split.parts.values())
    assert abs(train - len(rows) / 2) <= max(images)


def test_by_date_takes_the_last_women_for_the_test_and_only_their_last_exam() -> None:
    rows = []
    for patient in range(10):  # the last exam of woman p is in 2010 + p; all had one in 2005
        for year, exam in ((2005, "early"), (2010 + patient, "late")):
            name = f"{patient}-{exam}"
            rows.append(row(name, f"toy/{patient}", exam=name, date=f"{year}-06-01"))
    split = make_split(manifest(rows), by_date=True)
    parts = {image: split.parts.get(image) for image in ("0-early", "7-late", "8-early", "8-late", "9-early", "9-late")}
    assert parts == {
        "0-early": "train",
        "7-late": "train",
        "8-early": "validation",
        "8-late": "validation",
        "9-early": None,
        "9-late": "test",
    }
    assert set(split.left_out) == {"9-early"}


def test_by_date_cuts_the_report_s_patients_where_the_report_cut_them() -> None:
    # 141,473 patients gave 14,148 test exams, one per patient (NYU data report)
    days = pl.date_range(pl.date(1950, 1, 1), pl.date(2019, 1, 1), eager=True).cast(pl.String)
    names = [f"p{n:06d}" for n in range(141_473)]
    dates = [days[n % len(days)] for n in range(141_473)]
    columns = {"dataset": "toy", "patient": names, "exam": names, "image": names, "status": "prepared", "date": dates}
    table = pl.DataFrame(columns).with_columns(pixels_sha256=pl.lit(""))
    split = make_split(table, by_date=True)
    assert sum(part == "test" for part in split.parts.values()) == 14_148


def test_dates_that_are_missing_unreadable_or_of_several_precisions_are_refused() -> None:
    def with_dates(*dates: str | None) -> pl.DataFrame:
        return manifest([row(f"i{n}", f"toy/{n}", date=date) for n, date in enumerate(dates)])

    for dates, said in (
        (("2010-01-01", None), "1 of 2 images have no date"),
        (("2010-01-01", "1/2/2011"), "1/2/2011"),
        (("2010-01-01", "2011"), "several precisions"),
        (("20101301", "20110101"), "20101301"),
    ):
        with pytest.raises(SetupError, match=said):
            make_split(with_dates(*dates), by_date=True)


def test_images_without_a_patient_are_counted_by_set_and_refused_whatever_the_split() -> None:
    rows = [row("a", "toy/1"), row("b", None), row("c", None, dataset="other"), row("d", None, dataset="other")]
    table = manifest([{**r, "date": "2010", "split": "train"} for r in rows])
    ways: list[dict[str, Any]] = [*WAYS.values(), {"official": True}]
    for way in ways:
        with pytest.raises(SetupError, match=r"3 of 4 images have no patient \(other: 2, toy: 1\)"):
            make_split(table, **way)


def test_only_prepared_images_are_split_so_an_excluded_one_may_lack_its_patient() -> None:
    table = manifest([*(row(f"i{n}", f"toy/{n}") for n in range(4)), row("bad", None, status="failed")])
    split = make_split(table, folds=2)
    assert set(split.parts) == {"i0", "i1", "i2", "i3"}
    assert split.assign(table)["part"].null_count() == 1


def test_patients_of_two_sets_with_the_same_number_are_two_patients() -> None:
    rows = [row(f"{name}{n}", f"{name}/{n}", dataset=name) for name in ("one", "two") for n in range(20)]
    counts = make_split(manifest(rows), folds=2)
    assert counts.count(manifest(rows))["patients"].sum() == 40


@pytest.mark.parametrize(
    ("unit", "malignant", "unknown"),
    [("image", 2, 1), ("breast", 1, 1), ("exam", 1, 0), ("patient", 1, 0)],
)
def test_labels_are_counted_in_the_unit_that_the_header_names(unit: str, malignant: int, unknown: int) -> None:
    views = {"L-CC": True, "L-MLO": True, "R-CC": None}
    rows = [
        row(
            f"{woman}-{view}",
            f"toy/{woman}",
            side=view[0],
            label_unit=unit,
            malignant=label and woman < 1,
            benign=label,
        )
        for woman in range(2)
        for view, label in views.items()
    ]
    table = manifest(rows)
    counts = Split(
        {one["image"]: "train" for one in rows}, {}, {}, 0, hash_images(table), hash_images(table, pixels=False)
    ).count(table)
    assert counts.row(0, named=True) == {
        "part": "train",
        "patients": 2,
        "exams": 2,
        "images": 6,
        f"malignant {unit}s": malignant,
        f"benign {unit}s": malignant,
        f"negative {unit}s": 0,
        f"unknown {unit}s": 2 * unknown,
    }


def test_a_label_of_an_exam_is_not_counted_in_breasts_nor_images() -> None:
    both = [row(f"0-{side}", "toy/0", side=side, label_unit="exam", malignant=True, benign=False) for side in "LR"]
    own = row("1-L", "toy/1", side="L", label_unit="image", malignant=False, benign=False)
    table = manifest([*both, own])
    counts = make_split(table, fractions=(0.6, 0.4)).count(table)
    assert [name for name in counts.columns if "malignant" in name] == ["malignant exams"]
    assert counts["malignant exams"].sum() == 1


def test_the_official_split_stays_except_for_women_in_two_parts_and_images_without_one() -> None:
    rows = [
        row("a1", "toy/a", split="train"),
        row("b1", "toy/b", split="train"),  # in training as a mass, in test as a calcification
        row("b2", "toy/b", split="test"),
        row("c1", "toy/c", split=None),
        row("d1", "toy/d", split="test"),
    ]
    split = make_split(manifest(rows), official=True)
    assert split.parts == {"a1": "train", "b2": "test", "d1": "test"}
    assert split.left_out == {"b1": "in train, and its patient in test too", "c1": "no official part"}
    assert [warning[:8] for warning in split.warnings] == ["1 images", "1 images"]
    with pytest.raises(SetupError, match="none of 1 images has an official part"):
        make_split(manifest(rows[3:4]), official=True)
    with pytest.raises(SetupError, match="official parts dev"):
        make_split(manifest([row("a1", "toy/a", split="dev")]), official=True)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "need one of"),
        ({"folds": 5, "by_date": True}, "need one of"),
        ({"folds": 5, "fractions": (0.5, 0.5)}, "need one of"),
        ({"by": "exam", "folds": 5}, "one woman on two sides"),
        ({"folds": 1}, "2 or more"),
        ({"fractions": (0.5, 0.4)}, "sum to 1"),
        ({"fractions": (1.2, -0.2)}, "above 0"),
        ({"folds": 5, "stratify": "colour"}, "cannot stratify by 'colour'"),
        ({"folds": 5, "stratify": "lesions"}, "cannot stratify by 'lesions'"),
        ({"by_date": True, "stratify": "label"}, "decide by themselves"),
        ({"folds": 31}, "30 patients, need 31"),
    ],
)
def test_options_that_make_no_split_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(SetupError, match=said):
        make_split(screening(30), **options)


def test_a_part_that_would_be_empty_is_refused() -> None:
    rows = [row(f"i{n}", f"toy/{n}", date="2010") for n in range(3)]
    for way in ({"fractions": (0.8, 0.1, 0.1)}, {"by_date": True}):
        with pytest.raises(SetupError, match="nothing is left for"):
            make_split(manifest(rows), **way)


def test_folds_with_fewer_cancers_than_folds_say_so() -> None:
    rows = [row(f"i{n}", f"toy/{n}", malignant=n < 2, benign=False) for n in range(20)]
    split = make_split(manifest(rows), folds=5, stratify="label")
    assert any("least populated" in warning for warning in split.warnings)


def test_a_split_is_written_and_read_and_fits_its_manifest_only(tmp_path: Path) -> None:
    table = screening(60)
    split = make_split(table, fractions=(0.8, 0.2), stratify="label", seed=4)
    path = split.write(tmp_path, "first")
    assert path == tmp_path / "splits" / "first.json"
    assert Split.load(tmp_path, "first") == split
    said = json.loads(path.read_text())
    assert (said["format"], said["seed"], said["options"]["stratify"]) == ("fourview split 1", 4, "label")

    relabelled = table.with_columns(malignant=pl.lit(True))
    assert split.assign(relabelled)["part"].null_count() == 0
    recropped = table.with_columns(pixels_sha256=pl.lit("other"))
    with pytest.raises(SetupError, match="another manifest"):
        split.assign(recropped)
    assert split.assign(recropped, same_women=True)["part"].null_count() == 0
    with pytest.raises(SetupError, match="1 images are new"):
        split.assign(pl.concat([table, manifest([row("new", "toy/new")])]), same_women=True)
    with pytest.raises(SetupError, match="women changed"):
        split.assign(table.with_columns(patient=pl.lit("toy/0")), same_women=True)


def test_a_written_split_is_not_replaced_by_another_one(tmp_path: Path) -> None:
    table = screening(60)
    make_split(table, folds=3).write(tmp_path, "s")
    make_split(table, folds=3).write(tmp_path, "s")
    with pytest.raises(SetupError, match="another split has this name"):
        make_split(table, folds=3, seed=1).write(tmp_path, "s")
    with pytest.raises(SetupError, match="found the name"):
        make_split(table, folds=3).write(tmp_path, "../s")


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"format": "fourview split 0"}', '{"format": "fourview split 1"}']
)
def test_a_file_that_is_no_split_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "splits").mkdir()
    (tmp_path / "splits" / "s.json").write_text(content)
    with pytest.raises(SetupError, match=r"s\.json"):
        Split.load(tmp_path, "s")
    with pytest.raises(SetupError, match="no such split; this store has s"):
        Split.load(tmp_path, "other")
