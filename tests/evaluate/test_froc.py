"""Marks on lesions: curves, sensitivities and figures of merit from tiny tables and from their definitions."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fourview.evaluate import auc
from fourview.evaluate.froc import RATES, MarkedImages, froc_curve, lesion_sensitivities
from fourview.evaluate.jafroc import jafroc
from fourview.exam import SetupError

NONE = -math.inf


def table(
    images: str,
    marks: list[tuple[int, float, tuple[int, ...]]],
    lesions: list[tuple[int, str, str]],
    *,
    exams: str | None = None,
) -> MarkedImages:
    """images: the exam of each, one letter; marks: image, score, lesions hit; lesions: image, finding, m or b."""
    of_lesion = exams or "".join(images[image] for image, _, _ in lesions)
    return MarkedImages(
        image_exam=np.array(list(images)),
        mark_image=np.array([image for image, _, _ in marks], np.int64),
        mark_score=np.array([score for _, score, _ in marks], np.float64),
        hits=np.array([(n, hit) for n, (_, _, hits) in enumerate(marks) for hit in hits], np.int64).reshape(-1, 2),
        lesion_image=np.array([image for image, _, _ in lesions], np.int64),
        lesion_exam=np.array(list(of_lesion)),
        lesion_finding=np.array([finding for _, finding, _ in lesions]),
        lesion_malignant=np.array([kind == "m" for _, _, kind in lesions]),
    )


# Exam a: CC (0) and MLO (1) show finding 1; b: one benign lesion (2) and an image without (3); c: two normal images.
SMALL = table(
    "aabbcc",
    [
        (0, 0.9, (0,)),
        (0, 0.7, (0,)),
        (0, 0.3, ()),
        (2, 0.6, (2,)),
        (3, 0.8, ()),
        (4, 0.6, ()),
        (5, 0.2, ()),
    ],
    [(0, "1", "m"), (1, "1", "m"), (2, "1", "b")],
)


def drawn(seed: int, *, exams: int = 12, decimals: int = 1) -> MarkedImages:
    """A random table with ties, unmarked lesions, marks in two lesions, and lesions that were not read."""
    rng = np.random.default_rng(seed)
    images = "".join(2 * chr(65 + exam) for exam in range(exams))
    lesions: list[tuple[int, str, str]] = []
    owners = ""
    for image, exam in enumerate(images):
        for finding in range(int(rng.integers(0, 3)) if (ord(exam) - 65) % 2 else 0):
            lesions.append((image if rng.random() < 0.9 else -1, str(finding), "m" if finding else "b"))
            owners += exam
    marks = []
    for image in range(len(images)):
        own = [n for n, (where, _, _) in enumerate(lesions) if where == image]
        for _ in range(rng.integers(0, 4)):
            hits = tuple(n for n in own if rng.random() < 0.4)
            marks.append((image, round(float(rng.normal(0.5 + 0.3 * bool(hits), 0.3)), decimals), hits))
    return table(images, marks, lesions, exams=owners)


def naive_point(marked: MarkedImages, threshold: float) -> tuple[float, float]:
    """False positives per image and sensitivity, mark by mark."""
    hits = {(int(m), int(n)) for m, n in marked.hits}
    called = [m for m, score in enumerate(marked.mark_score) if score >= threshold]
    false = sum(all((m, n) not in hits for n in range(len(marked.lesion_exam))) for m in called)
    found = sum(any((m, n) in hits for m in called) for n in range(len(marked.lesion_exam)))
    return false / len(marked.image_exam), found / len(marked.lesion_exam)


def naive_merit(marked: MarkedImages, normal: list[int]) -> float:
    """The definition: a mean over pairs, ties one half."""
    false = marked.false_positives
    highest = [
        max(
            (s for s, i, f in zip(marked.mark_score, marked.mark_image, false, strict=True) if f and i == n),
            default=NONE,
        )
        for n in normal
    ]
    pairs = [(y > x) + 0.5 * (y == x) for y, x in itertools.product(marked.lesion_score, highest)]
    return float(np.mean(pairs))


def without(marked: MarkedImages, exam: str) -> MarkedImages:
    """The table without one exam."""
    images, lesions = marked.image_exam != exam, marked.lesion_exam != exam
    marks = images[marked.mark_image]
    new_image, new_mark, new_lesion = (np.cumsum(keep) - 1 for keep in (images, marks, lesions))
    hits = marked.hits[marks[marked.hits[:, 0]]]
    where = marked.lesion_image[lesions]
    return MarkedImages(
        image_exam=marked.image_exam[images],
        mark_image=new_image[marked.mark_image[marks]],
        mark_score=marked.mark_score[marks],
        hits=np.stack([new_mark[hits[:, 0]], new_lesion[hits[:, 1]]], axis=1),
        lesion_image=np.where(where < 0, -1, new_image[where]),
        lesion_exam=marked.lesion_exam[lesions],
        lesion_finding=marked.lesion_finding[lesions],
        lesion_malignant=marked.lesion_malignant[lesions],
    )


def test_the_curve_of_a_small_table_has_exact_fractions() -> None:
    curve = froc_curve(SMALL)
    assert curve.thresholds.tolist() == [0.9, 0.8, 0.7, 0.6, 0.3, 0.2]
    assert curve.sensitivity.tolist() == [1 / 3, 1 / 3, 1 / 3, 2 / 3, 2 / 3, 2 / 3]
    assert curve.false_positives_per_image.tolist() == [0, 1 / 6, 1 / 6, 2 / 6, 3 / 6, 4 / 6]
    assert curve.n == 3


def test_a_finding_is_found_if_one_of_its_views_is() -> None:
    by_finding = froc_curve(SMALL, by="finding")
    assert by_finding.n == 2
    assert by_finding.sensitivity.tolist() == [1 / 2, 1 / 2, 1 / 2, 1, 1, 1]
    assert froc_curve(SMALL, kind="malignant", by="finding").sensitivity.tolist() == [1.0] * 6
    assert froc_curve(SMALL, kind="malignant").sensitivity.tolist() == [0.5] * 6


def test_findings_of_the_same_name_in_two_exams_are_two_findings() -> None:
    assert froc_curve(SMALL, by="finding").n == 2
    twice = replace(SMALL, lesion_finding=np.array(["1", "2", "1"]))
    assert froc_curve(twice, by="finding").n == 3


def test_a_mark_in_two_lesions_finds_both_and_is_no_false_positive() -> None:
    both = table("ab", [(0, 0.5, (0, 1))], [(0, "1", "m"), (0, "2", "b")])
    assert both.lesion_score.tolist() == [0.5, 0.5]
    assert not both.false_positives.any()


def test_of_several_marks_in_a_lesion_the_highest_counts() -> None:
    assert SMALL.lesion_score.tolist() == [0.9, NONE, 0.6]


@given(st.integers(0, 10_000))
def test_every_point_of_the_curve_is_what_counting_marks_gives(seed: int) -> None:
    marked = drawn(seed)
    if len(marked.mark_score) == 0:
        return
    curve = froc_curve(marked)
    points = zip(curve.false_positives_per_image, curve.sensitivity, strict=True)
    assert [pytest.approx(naive_point(marked, t)) for t in curve.thresholds] == list(points)


@pytest.mark.slow
@given(st.integers(0, 10_000))
def test_the_sensitivity_at_a_rate_is_the_best_point_of_the_curve_up_to_it(seed: int) -> None:
    marked = drawn(seed)
    curve = froc_curve(marked)
    for rate, estimate in zip(RATES, lesion_sensitivities(marked), strict=False):
        allowed = curve.sensitivity[curve.false_positives_per_image <= rate]
        assert estimate.value == pytest.approx(allowed.max(initial=0))


def test_sensitivities_say_what_was_counted_and_their_mean_stands_last() -> None:
    estimates = lesion_sensitivities(SMALL, rates=(0.1, 0.2, 0.4))
    assert [e.value for e in estimates] == pytest.approx([1 / 3, 1 / 3, 2 / 3, 4 / 9])
    assert [e.positives for e in estimates] == [1, 1, 2, 2]
    assert {(e.n, e.clusters, e.unit) for e in estimates} == {(3, 3, "lesion")}
    assert estimates[0].name == "lesion sensitivity at 0.1 false positives per image"
    assert estimates[-1].name == "mean lesion sensitivity at 0.1, 0.2, 0.4 false positives per image"
    assert all("only 2 exams with lesions" in e.warnings[0] for e in estimates)


def test_a_lesion_and_a_false_positive_of_the_same_score_are_called_together() -> None:
    tied = table("ab", [(0, 0.5, (0,)), (1, 0.5, ())], [(0, "1", "m")])
    assert [e.value for e in lesion_sensitivities(tied, rates=(0.4, 0.5))][:2] == [0.0, 1.0]


def test_a_lesion_that_was_not_read_is_missed_at_every_threshold() -> None:
    read = table("abc", [(0, 0.9, (0,)), (1, 0.1, (1,))], [(0, "1", "m"), (1, "1", "m")])
    unread = table("abc", [(0, 0.9, (0,))], [(0, "1", "m"), (-1, "1", "m")], exams="ad")
    assert lesion_sensitivities(read)[-1].value == 1
    assert [e.value for e in lesion_sensitivities(unread)] == [0.5] * 6
    assert lesion_sensitivities(unread)[0].clusters == 4
    assert jafroc(unread, variant="JAFROC-1").value < jafroc(read, variant="JAFROC-1").value


def test_without_benign_lesions_their_marks_are_false_and_their_images_normal() -> None:
    malignant = SMALL.only_malignant()
    assert malignant.lesion_score.tolist() == [0.9, NONE]
    assert int(malignant.false_positives.sum()) == int(SMALL.false_positives.sum()) + 1
    assert "4 images without a lesion" in jafroc(malignant).method
    assert "3 images without a lesion" in jafroc(SMALL).method
    both = table("ab", [(0, 0.5, (0, 1))], [(0, "1", "b"), (0, "2", "m")]).only_malignant()
    assert both.lesion_score.tolist() == [0.5]
    with pytest.raises(SetupError, match="0 lesions"):
        table("ab", [], [(0, "1", "b")]).only_malignant()


def test_the_bootstrap_of_independent_lesions_gives_the_binomial_standard_error() -> None:
    exams = "".join(chr(200 + n) for n in range(100))
    marks = [(n, 1.0, (n,)) for n in range(30)]
    estimate = lesion_sensitivities(table(exams, marks, [(n, "1", "m") for n in range(100)]))[0]
    assert estimate.se == pytest.approx(math.sqrt(0.3 * 0.7 / 100), rel=0.05)
    assert (estimate.low, estimate.high) == pytest.approx((0.219, 0.396), abs=0.006)  # Wilson, 30 of 100


def test_lesions_of_one_exam_count_as_less_than_as_many_exams() -> None:
    lesions = [(n, "1", "m") for n in range(100)]
    marks = [(n, 1.0, (n,)) for n in range(30)]
    apart = table("".join(chr(200 + n) for n in range(100)), marks, lesions)
    together = table("".join(chr(200 + n // 10) for n in range(100)), marks, lesions)
    wide, narrow = (lesion_sensitivities(t)[0] for t in (together, apart))
    assert wide.value == narrow.value
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)


def test_where_every_lesion_is_found_the_interval_knows_how_few_exams_there_were() -> None:
    found = table("aabb", [(n, 0.9, (n,)) for n in range(3)], [(n, str(n), "m") for n in range(3)])
    estimate = lesion_sensitivities(found)[0]
    assert estimate.value == estimate.high == 1
    assert estimate.low == pytest.approx(0.342, abs=0.001)  # Wilson, 2 of 2 exams


def test_the_same_table_gives_the_same_intervals() -> None:
    assert lesion_sensitivities(SMALL) == lesion_sensitivities(SMALL)


def test_jafroc_of_a_small_table_has_exact_fractions() -> None:
    # lesions 0.9, none, 0.6 against images 3, 4, 5 (0.8, 0.6, 0.2): 3 + 0 + 1.5 of 9 pairs
    assert jafroc(SMALL).value == pytest.approx(4.5 / 9)
    # and against images 0, 1, 2 (0.3, none, none) too: 3 + 0.5 + 0.5 and 3: 11.5 ... of 18 pairs
    assert jafroc(SMALL, variant="JAFROC-1").value == pytest.approx((4.5 + 3 + (0.5 + 0.5) + 3) / 18)


@given(st.integers(0, 10_000))
def test_jafroc_is_the_mean_over_pairs_and_its_error_the_jackknife_over_exams(seed: int) -> None:
    marked = drawn(seed)
    everything = range(len(marked.image_exam))
    normal = [n for n in everything if n not in marked.lesion_image]
    assert jafroc(marked).value == pytest.approx(naive_merit(marked, normal))
    estimate = jafroc(marked, variant="JAFROC-1")
    assert estimate.value == pytest.approx(naive_merit(marked, list(everything)))
    exams = np.unique(np.concatenate([marked.image_exam, marked.lesion_exam]))
    if len(set(marked.lesion_exam)) > 1:
        left_out = [without(marked, exam) for exam in exams]
        merits = [naive_merit(rest, list(range(len(rest.image_exam)))) for rest in left_out]
        assert estimate.se == pytest.approx(math.sqrt((len(exams) - 1) * np.var(merits)))
    else:
        assert math.isnan(estimate.se)


def test_jafroc_agrees_with_the_clustered_area_of_the_same_scores() -> None:
    marked = drawn(5, exams=50, decimals=6)
    highest = np.full(len(marked.image_exam), -99.0)
    false = marked.false_positives
    np.maximum.at(highest, marked.mark_image[false], marked.mark_score[false])
    lesions = np.maximum(marked.lesion_score, -99)
    truth = [1] * len(lesions) + [0] * len(highest)
    area = auc(truth, [*lesions, *highest], cluster=[*marked.lesion_exam, *marked.image_exam])
    merit = jafroc(marked, variant="JAFROC-1")
    assert merit.value == pytest.approx(area.value)
    assert merit.se == pytest.approx(area.se, rel=0.1)


def test_without_a_normal_image_only_jafroc_1_has_a_value() -> None:
    marked = table("ab", [(0, 0.5, (0,)), (1, 0.4, ())], [(0, "1", "m"), (1, "1", "m")])
    with pytest.raises(SetupError, match="JAFROC-1"):
        jafroc(marked)
    assert jafroc(marked, variant="JAFROC-1").value == pytest.approx((2 + 0.5) / 4)


def test_a_single_exam_with_lesions_gives_no_interval() -> None:
    estimate = jafroc(table("abc", [(0, 0.5, (0,)), (1, 0.4, ())], [(0, "1", "m")]))
    assert math.isnan(estimate.low)
    assert "no interval can be given" in estimate.warnings[-1]


def test_tables_that_contradict_themselves_are_refused() -> None:
    with pytest.raises(SetupError, match="lesion of another image"):
        table("ab", [(1, 0.5, (0,))], [(0, "1", "m")])
    with pytest.raises(SetupError, match="image of another exam"):
        table("ab", [], [(0, "1", "m")], exams="b")
    with pytest.raises(SetupError, match="need a number"):
        table("ab", [(0, math.nan, ())], [(0, "1", "m")])
    with pytest.raises(SetupError, match="image of a mark at 2"):
        table("ab", [(2, 0.5, ())], [(0, "1", "m")])
    with pytest.raises(SetupError, match="each mark and lesion once"):
        table("ab", [(0, 0.5, (0, 0))], [(0, "1", "m")])
    with pytest.raises(SetupError, match="no malignant lesion"):
        froc_curve(table("ab", [], [(0, "1", "b")]), kind="malignant")
