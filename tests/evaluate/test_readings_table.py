"""Readings and truths become units: each once, of one kind, with nothing lost in silence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fourview.evaluate.population import Population
from fourview.evaluate.readings_table import Units, load_units
from fourview.exam import SetupError, hash_label

READINGS = """exam,patient_key,side,p_benign,p_malignant,status
a,p1,L,0.2,0.9,read
a,p1,R,0.1,0.1,read
b,p1,L,0.3,0.2,read
b,p1,R,0.4,0.3,read
c,p2,L,0.1,0.4,read
c,p2,R,0.1,0.5,read
"""
TRUTH = """exam,side,malignant,benign,density
a,L,1,0,A
a,R,0,1,A
b,L,0,0,B
b,R,,0,B
c,L,0,0,A
c,R,1,0,A
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "readings.csv").write_text(READINGS)
    (tmp_path / "truth.csv").write_text(TRUTH)
    return tmp_path


def load(folder: Path, **options: object) -> Units:
    return load_units(folder / "readings.csv", folder / "truth.csv", **options)  # type: ignore[arg-type]


def edit(folder: Path, name: str, old: str, new: str) -> None:
    text = (folder / name).read_text()
    assert old in text
    (folder / name).write_text(text.replace(old, new))


def test_breasts_come_with_truth_score_and_the_patient_as_cluster(folder: Path) -> None:
    units = load(folder)
    assert units.keys == ("a L", "a R", "b L", "b R", "c L", "c R")
    assert units.truth.tolist() == [True, False, False, False, False, True]
    assert units.scores.tolist() == [0.9, 0.1, 0.2, 0.3, 0.4, 0.5]
    assert units.cluster == "patient"
    assert units.clusters.tolist() == ["p1"] * 4 + ["p2"] * 2
    assert units.table["density"].to_list() == ["A", "A", "B", "B", "A", "A"]
    assert load(folder, cluster="exam").clusters.tolist() == ["a", "a", "b", "b", "c", "c"]


def test_rows_may_come_in_any_order(folder: Path) -> None:
    lines = READINGS.splitlines()
    (folder / "readings.csv").write_text("\n".join([lines[0], *reversed(lines[1:])]) + "\n")
    assert load(folder).scores.tolist() == [0.9, 0.1, 0.2, 0.3, 0.4, 0.5]


def test_the_benign_question_has_its_own_truth_and_score(folder: Path) -> None:
    units = load(folder, finding="benign")
    assert units.truth.tolist() == [False, True, False, False, False, False]
    assert units.scores.tolist() == [0.2, 0.1, 0.3, 0.4, 0.1, 0.1]


def test_an_exam_has_the_larger_score_and_any_positive(folder: Path) -> None:
    units = load(folder, unit="exam")
    assert units.keys == ("a", "b", "c")
    assert units.scores.tolist() == [0.9, 0.3, 0.5]
    assert units.truth.tolist() == [True, False, True]
    assert units.table["density"].to_list() == ["A", "B", "A"]


def test_a_patient_is_made_of_her_exams(folder: Path) -> None:
    edit(folder, "truth.csv", "exam,side,", "exam,patient,side,")
    for exam, patient in (("a", "p1"), ("b", "p1"), ("c", "p2")):
        edit(folder, "truth.csv", f"\n{exam},", f"\n{exam},{patient},")
    units = load(folder, unit="patient")
    assert units.keys == ("patient 1", "patient 2")  # no id of hers goes out
    assert units.scores.tolist() == [0.9, 0.5]


def test_a_breast_has_the_mean_over_its_images(folder: Path) -> None:
    (folder / "readings.csv").write_text(
        "exam,view,files,p_malignant\n"
        "a,L-CC,1,0.2\na,L-MLO,2,0.4\na,L-MLO,3,0.6\na,R-CC,4,0.1\nb,LCC,5,0.5\nb,R-CC,6,0.5\nc,L-CC,7,0\nc,R-CC,8,1\n"
    )
    assert load(folder).scores == pytest.approx([0.4, 0.1, 0.5, 0.5, 0, 1])


def test_a_name_whose_hash_is_an_exam_id_stands_for_it(folder: Path) -> None:
    for name in "abc":
        edit(folder, "readings.csv", f"\n{name},", f"\n{hash_label(name)},")
    assert load(folder).scores.tolist() == [0.9, 0.1, 0.2, 0.3, 0.4, 0.5]


def test_unknown_truth_is_negative_as_in_the_paper_or_excluded_and_counted(folder: Path) -> None:
    assert "1 breasts of unknown truth count as negative" in load(folder).notes
    units = load(folder, population=Population(unknown="excluded"))
    assert "b R" not in units.keys
    assert [(s.what, s.units) for s in units.flow] == [
        ("in the truth table", 6),
        ("truth unknown", 1),
        ("analysed", 5),
    ]


def test_the_biopsied_population_has_a_finding_of_either_kind(folder: Path) -> None:
    assert load(folder, population=Population("biopsied")).keys == ("a L", "a R", "c R")


def test_occult_positives_and_short_follow_up_are_rules_of_their_own(folder: Path) -> None:
    lines = [f"{line},{more}" for line, more in zip(
        TRUTH.splitlines(), ("visible,follow_up_days", "1,", ",900", ",100", ",", ",800", "0,"), strict=True
    )]  # fmt: skip
    (folder / "truth.csv").write_text("\n".join(lines) + "\n")
    assert load(folder, population=Population(visibility="occult")).truth.sum() == 1
    units = load(folder, population=Population(follow_up_days=730))
    assert units.keys == ("a L", "a R", "c L", "c R")


def test_failed_exams_are_counted_with_their_truth(folder: Path) -> None:
    edit(folder, "readings.csv", "a,p1,L,0.2,0.9,read\na,p1,R,0.1,0.1,read\n", "a,p1,,,,failed\n")
    units = load(folder)
    assert units.unread == (1, 1)
    assert ("the exam failed to be read", 2, 1) in [(s.what, s.units, s.positives) for s in units.flow]


@pytest.mark.parametrize(
    ("name", "old", "new", "found"),
    [
        ("readings.csv", "0.9,read", "1.9,read", r"p_malignant: found '1.9' \(line 2\) outside of \[0, 1\]"),
        ("readings.csv", "0.9,read", "90,read", "divide them by 100"),
        ("readings.csv", "0.9,read", "NaN,read", r"'NaN' \(line 2\)"),
        ("readings.csv", "0.9,read", ",read", "empty; need a probability in every row, or status failed"),
        ("readings.csv", "0.9,read", "high,read", "no numbers"),
        ("readings.csv", "p_malignant", "score", "need p_malignant"),
        ("readings.csv", "a,p1,R", "a,p1,L", "1 units more than once: a L"),
        ("readings.csv", "a,p1,R,", "a,p1,,", "mixed units: found a side in 5 rows and none in 1 .lines 3"),
        ("readings.csv", "a,p1,R,", "a,p1,M,", "need L or R"),
        ("readings.csv", "c,p2,R,0.1,0.5,read\n", "", "1 breasts of .*truth.csv have no row in .*readings.csv: c R"),
        ("readings.csv", "c,p2,R,", "d,p2,R,", "1 breasts of .*readings.csv have no row in .*truth.csv: d R"),
        ("truth.csv", "c,L,0,0,A", "c,R,0,0,A", "more than once: c R"),
        ("truth.csv", "a,L,1", "a,L,2", r"malignant: found '2' \(line 2\); need 0, 1"),
        (
            "truth.csv",
            "malignant",
            "cancerous",
            "found the columns exam, side, cancerous, benign, density; need malign",
        ),
        ("truth.csv", "side", "where", "one row per exam; need one per breast"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(folder: Path, name: str, old: str, new: str, found: str) -> None:
    if new.startswith("90"):
        found = "need probabilities; if these are percentages, divide"
    if old == "side":
        edit(folder, name, "a,R,0,1,A\n", "")
        edit(folder, name, "b,R,,0,B\n", "")
        edit(folder, name, "c,R,1,0,A\n", "")
    edit(folder, name, old, new)
    with pytest.raises(SetupError, match=found):
        load(folder)


def test_inner_drops_what_one_table_lacks_and_says_so(folder: Path) -> None:
    edit(folder, "readings.csv", "c,p2,R,0.1,0.5,read\n", "d,p3,R,0.1,0.5,read\n")
    units = load(folder, inner=True)
    assert units.keys == ("a L", "a R", "b L", "b R", "c L")
    assert units.unread == (1, 0)
    assert any("1 breasts of" in note and "dropped" in note for note in units.notes)


def test_readings_of_two_models_in_one_table_are_refused(folder: Path) -> None:
    edit(folder, "readings.csv", "status\n", "status,weights_hash\n")
    edit(folder, "readings.csv", "read\n", "read,w1\n")
    edit(folder, "readings.csv", "0.5,read,w1", "0.5,read,w2")
    with pytest.raises(SetupError, match="readings of 2 models"):
        load(folder)


def test_a_missing_file_is_named(folder: Path) -> None:
    with pytest.raises(SetupError, match=r"nowhere.csv: cannot be read"):
        load_units(folder / "nowhere.csv", folder / "truth.csv")


def test_shuffled_rows_keep_their_pairing(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    n = 2000
    exams = rng.permutation(n)
    scores = rng.random((n, 2)).round(6)
    rows = [f"e{e},{s},{scores[e, k]}" for e in exams for k, s in enumerate("LR")]
    (tmp_path / "readings.csv").write_text("exam,side,p_malignant\n" + "\n".join(rows) + "\n")
    truth = [f"e{e},{s},{int(scores[e, k] > 0.5)}" for e in range(n) for k, s in enumerate("RL"[::-1])]
    (tmp_path / "truth.csv").write_text("exam,side,malignant\n" + "\n".join(truth) + "\n")
    units = load(tmp_path)
    assert ((units.scores > 0.5) == units.truth).all()


def test_marks_against_the_readings_come_along(folder: Path) -> None:
    edit(folder, "readings.csv", "status\n", "status,marks\n")
    edit(folder, "readings.csv", "read\n", "read,untrained weights\n")
    assert load(folder).notes[0] == "marked readings: untrained weights (6 of 6 rows)"


def test_columns_called_like_our_own_words_are_only_columns(folder: Path) -> None:
    lines = TRUTH.splitlines()
    more = ["score,truth,line,cluster,patient_said"] + ["0.99,x,7,c,q"] * 6
    (folder / "truth.csv").write_text("\n".join(f"{a},{b}" for a, b in zip(lines, more, strict=True)) + "\n")
    units = load(folder)
    assert units.scores.tolist() == [0.9, 0.1, 0.2, 0.3, 0.4, 0.5]
    assert units.table["score"].to_list() == ["0.99"] * 6


def test_a_missing_breast_is_no_negative_one_in_an_exam(folder: Path) -> None:
    edit(folder, "readings.csv", "a,p1,L,0.2,0.9,read\n", "")
    with pytest.raises(SetupError, match=r"1 breasts of truth.csv have no row in readings.csv: a L"):
        load(folder, unit="exam")
    units = load(folder, unit="exam", inner=True)
    assert units.keys == ("b", "c")
    assert units.unread == (1, 0)
    edit(folder, "truth.csv", "c,R,1,0,A\n", "")
    with pytest.raises(SetupError, match=r"1 breasts of readings.csv have no row in truth.csv: c R"):
        load(folder, unit="exam")


def test_a_patient_with_a_failed_exam_is_unread(folder: Path) -> None:
    edit(folder, "readings.csv", "b,p1,L,0.3,0.2,read\nb,p1,R,0.4,0.3,read\n", "b,p1,,,,failed\nz,p9,,,,failed\n")
    edit(folder, "truth.csv", "exam,side,", "exam,patient,side,")
    for exam, patient in (("a", "x"), ("b", "x"), ("c", "y")):
        edit(folder, "truth.csv", f"\n{exam},", f"\n{exam},{patient},")
    units = load(folder, unit="patient")
    assert units.keys == ("patient 2",)
    assert units.unread == (1, 0)
    assert any("1 failed exams have no row" in note for note in units.notes)


def test_patients_come_from_one_table_only(folder: Path) -> None:
    edit(folder, "readings.csv", "b,p1,", "b,,")  # keys in some rows
    for exam, patient in (("a", "x"), ("b", "x"), ("c", "y")):
        edit(folder, "truth.csv", f"\n{exam},", f"\n{exam},{patient},")
    edit(folder, "truth.csv", "exam,side,", "exam,patient,side,")
    units = load(folder)
    assert units.patients_from == "truth"
    assert units.clusters.tolist() == ["x"] * 4 + ["y"] * 2
    edit(folder, "readings.csv", "b,,", "b,p2,")
    assert "group exams into patients differently" in " ".join(load(folder).notes)


def test_half_named_patients_are_said_and_not_used(folder: Path) -> None:
    edit(folder, "readings.csv", "b,p1,", "b,,")
    units = load(folder)
    assert units.cluster == "exam"
    assert "some rows name no patient" in " ".join(units.notes)


def test_an_occult_cancer_beside_a_visible_benign_breast_stays_occult_in_its_exam(folder: Path) -> None:
    visible = ["visible,follow_up_days", "0,900", "1,", "1,800", "1,900", "1,800", "1,800"]
    lines = [f"{line},{more}" for line, more in zip(TRUTH.splitlines(), visible, strict=True)]
    (folder / "truth.csv").write_text("\n".join(lines) + "\n")
    assert load(folder, unit="exam", population=Population(visibility="visible")).keys == ("b", "c")
    units = load(folder, population=Population(follow_up_days=730))
    assert "a R" not in units.keys  # negative, follow-up not known


def test_biopsied_is_said_or_follows_from_a_finding(folder: Path) -> None:
    lines = [f"{a},{b}" for a, b in zip(TRUTH.splitlines(), ["Biopsied", 0, 0, 1, 0, 0, 0], strict=True)]
    (folder / "truth.csv").write_text("\n".join(lines) + "\n")
    assert load(folder, population=Population("biopsied")).keys == ("a L", "a R", "b L", "c R")


def test_a_name_and_its_hash_are_one_exam_twice(folder: Path) -> None:
    for name in "abc":
        edit(folder, "readings.csv", f"\n{name},", f"\n{hash_label(name)},")
    edit(folder, "truth.csv", "c,R,1,0,A\n", f"c,R,1,0,A\n{hash_label('c')},R,1,0,A\n")
    with pytest.raises(SetupError, match="more than once"):
        load(folder)


@pytest.mark.parametrize("change", ["semicolon", "tab", "utf16", "bom", "crlf", "blank lines"])
def test_tables_of_other_programs_are_read(folder: Path, change: str) -> None:
    for name in ("readings.csv", "truth.csv"):
        text = (folder / name).read_text()
        data = {
            "semicolon": text.replace(",", ";").encode(),
            "tab": text.replace(",", "\t").encode(),
            "utf16": text.encode("utf-16"),
            "bom": text.encode("utf-8-sig"),
            "crlf": text.replace("\n", "\r\n").encode(),
            "blank lines": (text.replace("\n", "\n\n") + ",,,\n").encode(),
        }[change]
        (folder / name).write_bytes(data)
    assert load(folder).scores.tolist() == [0.9, 0.1, 0.2, 0.3, 0.4, 0.5]


def test_two_columns_of_one_name_are_refused(folder: Path) -> None:
    edit(folder, "readings.csv", "p_benign,", "p_malignant,")
    with pytest.raises(SetupError, match="more than one column 'p_malignant'"):
        load(folder)


def test_lines_are_those_of_the_file_also_after_line_breaks_in_cells(folder: Path) -> None:
    edit(folder, "readings.csv", "patient_key", "note")
    edit(folder, "readings.csv", "a,p1,L", 'a,"two\nlines",L')
    edit(folder, "readings.csv", "c,p2,R,0.1,0.5", "c,p2,R,0.1,7")
    with pytest.raises(SetupError, match=r"'7' \(line 8\)"):
        load(folder)
