"""What an image is good for in the patch stage."""

from __future__ import annotations

import json
from typing import Any, Literal

import pytest

from fourview.train.lesion_classes import ImageUse, role_of, use_images


def lesion(name: str = "a", *, pathology: str = "malignant", mask: int | None = 0, **words: str) -> dict[str, Any]:
    return {"lesion": name, "pathology": pathology, "mask": mask, "descriptors": json.dumps(words)}


def row(*lesions: dict[str, Any], **said: Any) -> dict[str, Any]:
    given = {"dataset": "set", "exam": "e", "malignant": None, "benign": None, "label_unit": "breast"}
    return {**given, "label_source": "biopsy", "birads_class": None, "lesions": list(lesions), **said}


def use(*rows: dict[str, Any], distractors: Literal["benign", "ignored", "negative"] = "ignored") -> ImageUse:
    """Of the first row."""
    return use_images(rows, distractors=distractors)[0]


@pytest.mark.parametrize(
    ("words", "pathology", "distractors", "role"),
    [
        ({}, "malignant", "ignored", "malignant"),  # real sets say nothing of biopsies
        ({"biopsied": "yes"}, "benign", "ignored", "benign"),
        ({}, "unknown", "ignored", "never"),
        ({"biopsied": "at another exam"}, "unknown", "negative", "never"),
        ({"biopsied": "no"}, "benign", "ignored", "never"),
        ({"biopsied": "no"}, "benign", "benign", "benign"),
        ({"biopsied": "no"}, "benign", "negative", None),
    ],
)
def test_a_lesion_has_the_class_of_its_biopsy(
    words: dict[str, str], pathology: str, distractors: Literal["benign", "ignored", "negative"], role: str | None
) -> None:
    assert role_of(lesion(pathology=pathology, **words), distractors=distractors) == role


def test_images_with_outlined_lesions_give_patches_on_and_beside_them() -> None:
    found = use(row(lesion(), lesion("b", pathology="benign"), malignant=True, benign=True))
    assert found == ImageUse({"a": "malignant", "b": "benign"}, outside=True, negative=False)


def test_a_lesion_keeps_the_words_of_all_its_outlines() -> None:
    found = use(row(lesion(shape="oval"), lesion(margin="spiculated"), lesion("b", mask=None, shape="round")))
    assert found.words == {"a": {"shape": "oval", "margin": "spiculated"}}


def test_without_knowing_where_a_lesion_is_nothing_is_cut_beside_others() -> None:
    found = use(row(lesion(), lesion("b", mask=None), malignant=True))
    assert found == ImageUse({"a": "malignant"}, outside=False, negative=False)
    occult = use(row(lesion(), lesion("b", mask=None, visible="no"), malignant=True))
    assert occult.outside


def test_an_exam_without_a_biopsy_is_negative_in_all_its_images() -> None:
    assert use(row()).negative
    assert use(row(lesion(biopsied="no", pathology="benign"))).negative
    assert use(row(lesion(biopsied="at another exam", pathology="unknown"))).negative
    assert not use(row(), row(malignant=True)).negative  # her other breast was biopsied
    assert not use(row(lesion(pathology="unknown"))).negative


@pytest.mark.parametrize(
    ("said", "negative"),
    [
        ({"label_source": "unknown"}, False),  # nobody knows whether there was a biopsy
        ({"label_source": "birads", "birads_class": 1}, True),
        ({"label_source": "birads", "birads_class": 0}, False),
        ({"label_source": "unknown", "malignant": False, "benign": False}, True),  # normal films of mini-MIAS
        ({"label_source": "registry", "malignant": False}, False),
    ],
)
def test_without_biopsies_on_record_an_image_must_be_called_normal(said: dict[str, Any], negative: bool) -> None:
    assert use(row(**said)).negative is negative


def test_a_breast_that_is_known_to_be_free_is_negative_though_the_other_is_not() -> None:
    free = {"malignant": False, "benign": False, "label_unit": "image"}
    assert use(row(**free), row(lesion(), malignant=True, label_unit="image")).negative
    whole = {**free, "label_unit": "exam"}
    assert not use(row(**whole), row(lesion(), malignant=True, label_unit="exam")).negative


def test_of_two_outlines_of_one_lesion_that_disagree_malignant_wins() -> None:
    assert use(row(lesion(pathology="benign"), lesion(), malignant=True)).roles == {"a": "malignant"}
