"""Folders, zips and files -> exams: what belongs together, what is left out, what fails alone."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.uid import generate_uid

from fourview.exam import Exam, ExamError, SetupError, View, hash_label
from fourview.ingest import Found, IngestOptions, find_exams, read_exam
from fourview.ingest.identity import patient_key
from tests.ingest.pictures import SECRET, picture, write_picture, write_views
from tests.ingest.synthetic_dicom import mammogram_dataset, save

OPTIONS = IngestOptions(secret=SECRET)
NAMES = {View.L_CC: "a", View.R_CC: "b", View.L_MLO: "c", View.R_MLO: "d"}
ORIENTATION = {View.L_CC: ["A", "R"], View.R_CC: ["P", "L"], View.L_MLO: ["A", "FR"], View.R_MLO: ["P", "FL"]}


def write_image(path: Path, view: View, study: str, seed: int = 0, **tags: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    changed = {
        "StudyInstanceUID": study,
        "ViewPosition": view.angle,
        "ImageLaterality": view.side.value,
        "PatientOrientation": ORIENTATION[view],
        **tags,
    }
    return save(mammogram_dataset(picture(view.value, seed), **changed), path)


def write_study(folder: Path, suffix: str = ".dcm", seed: int = 0, **tags: Any) -> str:
    """Four views of one study; returns its StudyInstanceUID."""
    study = generate_uid()
    for number, (view, name) in enumerate(NAMES.items()):
        write_image(folder / f"{name}{suffix}", view, study, seed + number, **tags)
    return study


def zip_folder(folder: Path, path: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, file.relative_to(folder))
    return path


def find(*inputs: Path) -> Found:
    return find_exams(inputs, OPTIONS)


def views(exam: Exam) -> list[str]:
    return [view.value for view in exam.views]


ALL = [view.value for view in View]


@pytest.mark.parametrize("suffix", [".dcm", "", ".IMA", ".0001"])
def test_a_folder_of_dicom_is_one_exam_per_study_at_any_depth_and_with_any_suffix(tmp_path: Path, suffix: str):
    first = write_study(tmp_path / "women/one/series", suffix)
    second = write_study(tmp_path / "women/two", suffix, PatientID="PID-0815")
    found = find(tmp_path)
    assert {exam.label for exam in found.exams} == {first, second}
    by_label = {source.label: source for source in found.exams}
    exam = by_label[first].read()
    assert views(exam) == ALL
    assert exam.exam_id == hash_label(first)
    assert exam.patient_key == patient_key("PID-4711", SECRET)
    assert by_label[second].patient_key == patient_key("PID-0815", SECRET)
    assert exam.warnings == ()


def test_two_studies_mixed_in_one_folder_are_two_exams(tmp_path: Path):
    studies = [generate_uid(), generate_uid()]
    for number, study in enumerate(studies):
        for view, name in NAMES.items():
            write_image(tmp_path / f"{name}{number}.dcm", view, study, number)
    found = find(tmp_path)
    assert [exam.label for exam in found.exams] == studies
    assert [exam.names for exam in found.exams] == [tuple(f"{name}{n}.dcm" for name in "abcd") for n in (0, 1)]


def test_one_study_in_several_folders_and_inputs_is_one_exam_and_no_file_counts_twice(tmp_path: Path):
    study = generate_uid()
    for number, (view, name) in enumerate(NAMES.items()):
        write_image(tmp_path / name / "image.dcm", view, study, number)
    (source,) = find(tmp_path / "a", tmp_path / "b", tmp_path, tmp_path / "d/image.dcm").exams
    assert source.names == ("image.dcm", "image~2.dcm", "image~3.dcm", "image~4.dcm")
    exam = source.read()
    assert [m.name for m in exam.mammograms] == list(source.names)
    assert views(exam) == ALL


def test_dicom_without_a_preamble_is_found(tmp_path: Path):
    path = write_image(tmp_path / "image", View.L_CC, generate_uid())
    whole = read_exam(path, secret=SECRET).mammograms[0]
    path.write_bytes(path.read_bytes()[132:])
    (source,) = find(tmp_path).exams
    assert source.names == ("image",)
    np.testing.assert_array_equal(source.read().mammograms[0].pixels, whole.pixels)


def test_two_files_of_the_same_instance_fail_the_exam(tmp_path: Path):
    study = write_study(tmp_path)
    (tmp_path / "copy.dcm").write_bytes((tmp_path / "a.dcm").read_bytes())
    (source,) = find(tmp_path).exams
    with pytest.raises(ExamError, match=r"a\.dcm and copy\.dcm have the same SOPInstanceUID"):
        source.read()
    assert source.label == study


def test_two_patients_in_one_study_fail_the_exam_and_are_not_named(tmp_path: Path):
    study = write_study(tmp_path)
    write_image(tmp_path / "e.dcm", View.L_CC, study, 9, PatientID="PID-0815")
    (source,) = find(tmp_path).exams
    with pytest.raises(ExamError, match="carry different patient ids in one study") as caught:
        source.read()
    assert "PID" not in str(caught.value)
    assert source.patient_key is None


def test_files_that_are_no_screening_view_are_left_out_with_the_reason(tmp_path: Path):
    study = write_study(tmp_path)
    write_image(tmp_path / "x.dcm", View.L_CC, study, ViewPosition="XCCL")
    exam = find(tmp_path).exams[0].read()
    assert exam.left_out == (("x.dcm", "view XCCL is neither CC nor MLO"),)
    assert len(exam.mammograms) == 4


def test_a_study_without_any_screening_view_fails_with_the_reasons_and_the_others_are_read(tmp_path: Path):
    write_image(tmp_path / "one/x.dcm", View.L_CC, generate_uid(), ViewPosition="ML")
    write_study(tmp_path / "two")
    first, second = find(tmp_path).exams
    with pytest.raises(ExamError, match=r"no CC or MLO mammogram.*x\.dcm: view ML is neither"):
        first.read()
    assert views(second.read()) == ALL


def test_tags_that_contradict_each_other_fail_the_exam(tmp_path: Path):
    write_study(tmp_path)
    write_image(tmp_path / "a.dcm", View.L_CC, generate_uid(), Laterality="R")
    sources = find(tmp_path).exams
    failed = [source for source in sources if source.problem]
    assert len(failed) == 1
    assert "ImageLaterality says L, Laterality says R" in str(failed[0].problem)


def test_truncated_pixels_fail_their_exam_and_the_others_are_read(tmp_path: Path):
    write_study(tmp_path / "one")
    write_study(tmp_path / "two")
    cut = tmp_path / "one/b.dcm"
    cut.write_bytes(cut.read_bytes()[:-5000])
    first, second = find(tmp_path).exams
    with pytest.raises(ExamError, match=r"R-CC b\.dcm"):
        first.read()
    assert views(second.read()) == ALL


@pytest.mark.parametrize("content", [b"", b"text, not DICOM", b"\0" * 128 + b"DICM"])
def test_a_broken_file_beside_a_study_is_listed_and_a_warning(tmp_path: Path, content: bytes):
    write_study(tmp_path)
    (tmp_path / "broken.dcm").write_bytes(content)
    found = find(tmp_path)
    assert [name for name, _ in found.left_out] == ["broken.dcm"]
    (warning,) = found.exams[0].read().warnings
    assert "a view may be missing" in warning
    assert "broken.dcm" in warning


def test_a_folder_that_holds_only_broken_files_is_an_exam_that_fails(tmp_path: Path):
    write_study(tmp_path / "Muster Erika")
    (tmp_path / "Muster Maria").mkdir()
    (tmp_path / "Muster Maria/broken.dcm").write_bytes(b"")
    good, bad = find(tmp_path).exams
    assert good.read().warnings == ()
    with pytest.raises(ExamError, match=r"broken\.dcm") as caught:
        bad.read()
    assert "Muster" not in str(caught.value)
    assert bad.label == "Muster Maria"


def test_png_exams_are_folder_and_stem_without_the_view(tmp_path: Path):
    write_views(tmp_path / "site", prefix="1_")
    write_views(tmp_path / "site", prefix="2-")
    write_views(tmp_path / "site/three")
    found = find(tmp_path)
    assert {exam.label for exam in found.exams} == {"site/1", "site/2", "site/three"}
    assert all(views(exam.read()) == ALL for exam in found.exams)
    assert all(exam.patient_key is None for exam in found.exams)
    (source,) = find(tmp_path / "site/three").exams
    assert source.label == "three"


def test_several_images_of_a_view_come_in_the_order_of_their_numbers(tmp_path: Path):
    write_views(tmp_path, ("L_CC_10", "L_CC", "L_CC_2", "R_CC"), prefix="1_")
    (source,) = find(tmp_path).exams
    exam = source.read()
    assert [m.name for m in exam.views[View.L_CC]] == ["1_L_CC.png", "1_L_CC_2.png", "1_L_CC_10.png"]


def test_png_pixels_come_back_exactly_with_their_decisions(tmp_path: Path):
    write_picture(tmp_path / "L-CC.png", picture("L-CC", 3))
    (mammogram,) = read_exam(tmp_path, spacing_mm=0.07, secret=SECRET).mammograms
    np.testing.assert_array_equal(mammogram.pixels, picture("L-CC", 3))
    assert (mammogram.pixel_mode, mammogram.spacing_mm, mammogram.faces) == ("file", 0.07, "right")
    assert {"view", "grey scale", "orientation", "spacing"} <= {d.topic for d in mammogram.decisions}


def test_a_white_frame_is_blanked_and_recorded(tmp_path: Path):
    framed = picture("L-CC")
    framed[:4], framed[-4:], framed[:, :4], framed[:, -4:] = 65535, 65535, 65535, 65535
    write_picture(tmp_path / "L-CC.png", framed)
    (mammogram,) = read_exam(tmp_path).mammograms
    assert mammogram.pixels[:4].max() == 0
    assert "frame" in {d.topic for d in mammogram.decisions}


def test_files_that_are_no_exam_are_left_out_by_name(tmp_path: Path):
    write_views(tmp_path)
    write_picture(tmp_path / "L_CC_mask.png", picture("L-CC"))
    (tmp_path / "R_CC.jpg").write_bytes(b"\xff\xd8")
    (tmp_path / "report.txt").write_text("text")
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    left_out = dict(find(tmp_path).left_out)
    assert left_out.keys() == {"L_CC_mask.png", "R_CC.jpg", "report.txt", "gone"}
    assert left_out["L_CC_mask.png"].startswith("no view at the end of its name")
    assert left_out["R_CC.jpg"] == "a jpg image: need DICOM or greyscale PNG"
    assert left_out["report.txt"] == "neither DICOM nor PNG"


def test_what_operating_systems_leave_behind_is_ignored_in_silence(tmp_path: Path):
    study = write_study(tmp_path / "study")
    for name in (".DS_Store", "._a.dcm", "__MACOSX/._a.dcm", "Thumbs.db", "study/DICOMDIR", ".hidden/L_CC.png"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"\0\x05\x16\x07")
    found = find(tmp_path)
    assert found.left_out == ()
    assert [exam.label for exam in found.exams] == [study]
    assert found.exams[0].warnings == ()


def test_a_circle_of_links_ends(tmp_path: Path):
    write_views(tmp_path / "a")
    (tmp_path / "a/again").symlink_to(tmp_path)
    assert [exam.label for exam in find(tmp_path).exams] == ["a"]


@pytest.mark.parametrize("kind", ["colour", "black", "cut", "text"])
def test_a_png_that_cannot_be_read_fails_its_exam_and_says_which_file(tmp_path: Path, kind: str):
    write_views(tmp_path)
    path = tmp_path / "R_CC.png"
    if kind == "colour":
        write_picture(path, np.zeros((20, 20, 3), np.uint8))
    elif kind == "black":
        write_picture(path, np.zeros((20, 20), np.uint16))
    elif kind == "cut":
        path.write_bytes(path.read_bytes()[:2000])
    else:
        path.write_text("text")
    (source,) = find(tmp_path).exams
    with pytest.raises(ExamError, match=r"R_CC\.png"):
        source.read()


def test_identical_pixels_under_two_views_are_a_warning_that_names_both(tmp_path: Path):
    write_views(tmp_path)
    write_picture(tmp_path / "L_MLO.png", picture("L-CC", 0))
    exam = find(tmp_path).exams[0].read()
    assert exam.warnings == ("L-CC L_CC.png and L-MLO L_MLO.png hold identical pixels",)


def test_an_absent_side_is_a_warning(tmp_path: Path):
    study = generate_uid()
    write_image(tmp_path / "a.dcm", View.L_CC, study, 1)
    write_image(tmp_path / "b.dcm", View.L_CC, study, 2)  # both sides tagged L look like this
    exam = find(tmp_path).exams[0].read()
    assert exam.warnings[0] == "no right-sided view in this exam"
    assert "no R-CC in this exam, but 2 images of L-CC: one may be mislabelled" in exam.warnings


def test_a_zip_reads_like_its_folder(tmp_path: Path):
    write_study(tmp_path / "in/study")
    write_views(tmp_path / "in/png")
    archive = zip_folder(tmp_path / "in", tmp_path / "in.zip")
    from_folder, from_zip = find(tmp_path / "in"), find(archive)
    assert [exam.label for exam in from_zip.exams] == [exam.label for exam in from_folder.exams]
    for left, right in zip(from_folder.exams, from_zip.exams, strict=True):
        for a, b in zip(left.read().mammograms, right.read().mammograms, strict=True):
            np.testing.assert_array_equal(a.pixels, b.pixels)
            assert (a.name, a.view, a.faces, a.decisions) == (b.name, b.view, b.faces, b.decisions)


def test_a_zip_leaves_no_copies_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write_study(tmp_path / "in")
    archive = zip_folder(tmp_path / "in", tmp_path / "in.zip")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    find(archive).exams[0].read()
    assert list(scratch.iterdir()) == []


def test_one_zip_per_exam_in_a_folder_is_read_and_a_broken_one_is_an_exam_that_fails(tmp_path: Path):
    write_study(tmp_path / "in")
    (tmp_path / "out").mkdir()
    zip_folder(tmp_path / "in", tmp_path / "out/good.zip")
    whole = (tmp_path / "out/good.zip").read_bytes()
    (tmp_path / "out/bad.zip").write_bytes(whole[: len(whole) // 2])
    bad, good = sorted(find(tmp_path / "out").exams, key=lambda exam: exam.problem is None)
    assert views(good.read()) == ALL
    with pytest.raises(ExamError, match=r"bad\.zip: not a readable zip"):
        bad.read()


def test_a_damaged_member_of_a_zip_fails_its_exam(tmp_path: Path):
    write_views(tmp_path / "in")
    archive = tmp_path / "in.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as out:
        for file in sorted((tmp_path / "in").iterdir()):
            out.write(file, file.name)
    data = bytearray(archive.read_bytes())
    data[2000] ^= 255  # inside the pixels of the first file
    archive.write_bytes(bytes(data))
    (source,) = find(archive).exams
    with pytest.raises(ExamError, match=r"L_CC\.png: cannot be read in its zip"):
        source.read()


def test_a_zip_that_is_cut_encrypted_or_leads_outside_is_refused(tmp_path: Path):
    write_views(tmp_path / "in")
    archive = zip_folder(tmp_path / "in", tmp_path / "in.zip")
    whole = archive.read_bytes()
    (tmp_path / "cut.zip").write_bytes(whole[:-200])
    encrypted = bytearray(whole)
    at = encrypted.index(b"PK\x01\x02")
    encrypted[at + 8] |= 1  # the flag of an encrypted member in the table of contents
    (tmp_path / "locked.zip").write_bytes(bytes(encrypted))
    for name, inside in (("up.zip", "../L_CC.png"), ("root.zip", "/etc/L_CC.png"), ("win.zip", "a\\..\\..\\L_CC.png")):
        with zipfile.ZipFile(tmp_path / name, "w") as out:
            out.writestr(inside, b"x")
    for name, error in (
        ("cut.zip", "not a readable zip"),
        ("locked.zip", "encrypted, need one without a password"),
        ("up.zip", "leads out of its folder"),
        ("root.zip", "leads out of its folder"),
        ("win.zip", "leads out of its folder"),
    ):
        with pytest.raises(SetupError, match=error):
            find(tmp_path / name)


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    archive = tmp_path / "bomb.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("L_CC.png", bytes(1 << 20))
    monkeypatch.setattr("fourview.ingest.files._RATIO_FROM", 1 << 19)
    with pytest.raises(SetupError, match="times its size, need at most 200"):
        find(archive)
    monkeypatch.setattr("fourview.ingest.files._LARGEST_MEMBER", 1 << 19)
    with pytest.raises(SetupError, match="holds a file of"):
        find(archive)


def test_a_zip_inside_a_zip_is_listed_and_not_opened(tmp_path: Path):
    write_views(tmp_path / "in")
    zip_folder(tmp_path / "in", tmp_path / "inner.zip").rename(tmp_path / "in/inner.zip")
    found = find(zip_folder(tmp_path / "in", tmp_path / "outer.zip"))
    assert found.left_out == (("inner.zip", "a zip inside a zip is not opened"),)


def test_a_folder_that_cannot_be_opened_is_an_exam_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write_views(tmp_path / "a")
    (tmp_path / "b").mkdir()
    listed = Path.iterdir

    def refuse(folder: Path) -> Any:
        if folder.name == "b":
            raise PermissionError(13, "Permission denied", str(folder))
        return listed(folder)

    monkeypatch.setattr(Path, "iterdir", refuse)
    good, bad = find(tmp_path).exams
    assert views(good.read()) == ALL
    with pytest.raises(ExamError, match="a folder cannot be opened") as caught:
        bad.read()
    assert str(tmp_path) not in str(caught.value)


def test_nothing_found_is_a_set_up_error_that_lists_what_lies_there(tmp_path: Path):
    with pytest.raises(SetupError, match=r"found 0 files \(no files\); need DICOM"):
        find(tmp_path)
    for number in range(20):
        (tmp_path / f"note{number:02}.txt").write_text("text")
    with pytest.raises(SetupError, match=r"found 20 files \(note00\.txt: neither DICOM nor PNG; .*and 12 more\); need"):
        find(tmp_path)
    with pytest.raises(SetupError, match="gone: no such file or folder"):
        find(tmp_path / "gone")
    with pytest.raises(SetupError, match="no input"):
        find()


def test_equal_exam_names_in_two_inputs_stay_apart(tmp_path: Path):
    for site in ("east", "west"):
        write_views(tmp_path / site, prefix="1_")
    found = find(tmp_path / "east", tmp_path / "west")
    assert [exam.label for exam in found.exams] == ["1", "west/1"]


def test_equal_exam_names_in_two_lists_are_a_set_up_error(tmp_path: Path):
    write_views(tmp_path)
    text = "file,exam,side,view\nL_CC.png,1,L,CC\n"
    for name in ("one.csv", "two.csv"):
        (tmp_path / name).write_text(text)
    with pytest.raises(SetupError, match="two inputs hold an exam of the same name"):
        find(tmp_path / "one.csv", tmp_path / "two.csv")


def test_read_exam_reads_exactly_one(tmp_path: Path):
    write_views(tmp_path, prefix="1_")
    assert views(read_exam(str(tmp_path))) == ALL
    write_views(tmp_path, ("L_CC",), prefix="2_")
    with pytest.raises(SetupError, match=r"found 2 exams, need one: .*1_L_CC\.png.*2_L_CC\.png"):
        read_exam(tmp_path)


def test_single_files_are_inputs_too(tmp_path: Path):
    write_views(tmp_path)
    (source,) = find(*(tmp_path / f"{stem}.png" for stem in ("L_CC", "R_CC"))).exams
    assert views(source.read()) == ["L-CC", "R-CC"]
    (tmp_path / "a.txt").write_text("text")
    with pytest.raises(SetupError, match=r"a\.txt: neither DICOM nor PNG"):
        find(tmp_path / "a.txt")


def test_the_sample_folder_holds_three_exams(shared: Path):
    found = find(shared / "data/nyu_sample_exams")
    assert [exam.label for exam in found.exams] == ["birads_density_exam", "dmv_cnn_partial/1", "gmic_exam0/0"]
    assert {name for name, _ in found.left_out} == {
        "README.md",
        "gmic_exam_list.json",
        "labels.csv",
        "0_R-CC_benign.png",
        "0_R-MLO_benign.png",
    }
    assert views(found.exams[2].read()) == ALL


def test_the_test_files_of_the_dicom_committee_are_found_and_the_undecodable_one_is_refused(shared: Path):
    (source,) = find(shared / "data/mg_dicom/nema_wg04").exams
    assert len(source.images) == 2
    with pytest.raises(ExamError, match="JPEG Extended"):
        source.read()


def test_a_source_travels_to_another_process_and_does_not_show_the_secret(tmp_path: Path):
    write_study(tmp_path)
    (source,) = find(tmp_path).exams
    assert SECRET.decode() not in repr(source)
    copy = pickle.loads(pickle.dumps(source))
    np.testing.assert_array_equal(copy.read().mammograms[0].pixels, source.read().mammograms[0].pixels)


def test_mirrored_dicom_without_orientation_tags_is_read_with_auto_and_refused_without(tmp_path: Path):
    image = picture("L-CC")[:, ::-1].copy()
    save(mammogram_dataset(image, PatientOrientation=None), tmp_path / "a.dcm")
    with pytest.raises(ExamError, match="L-CC"):
        read_exam(tmp_path, secret=SECRET)
    assert read_exam(tmp_path, mirrored="auto", secret=SECRET).mammograms[0].faces == "left"


@pytest.mark.parametrize("wrong", [{"pixels": "file"}, {"mirrored": "yes"}, {"spacing_mm": 0.0}, {"spacing_mm": 70.0}])
def test_options_that_make_no_sense_are_a_set_up_error(wrong: dict[str, Any]):
    with pytest.raises(SetupError, match="need"):
        IngestOptions(**wrong)
