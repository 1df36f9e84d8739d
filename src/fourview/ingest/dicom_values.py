"""Values of DICOM tags, read safely: absent and blank are the same, malformed is an ExamError."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from fourview.exam import ExamError


@contextmanager
def quiet() -> Iterator[None]:
    """Keeps what pydicom says about odd files to itself: it quotes values and paths that may name the patient."""
    logger = logging.getLogger("pydicom")
    before, logger.disabled = logger.disabled, True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.disabled = before


def value(dataset: Dataset, keyword: str) -> Any:
    """The value of a tag as pydicom gives it; None if the tag is absent or blank.

    Raises ExamError if the value cannot be read; its text does not repeat the value.
    """
    try:
        with quiet():
            found = dataset.get(keyword)
    except Exception:  # pydicom raises nearly anything on a malformed value
        raise ExamError(f"tag {keyword} holds a value that its type does not allow") from None
    if found is None or (isinstance(found, str | bytes | MultiValue | Sequence) and len(found) == 0):
        return None
    return found


def text(dataset: Dataset, keyword: str) -> str:
    """The first value of a tag as upper-case text without blanks around it; "" if absent."""
    words = texts(dataset, keyword)
    return words[0] if words else ""


def texts(dataset: Dataset, keyword: str) -> tuple[str, ...]:
    """All values of a tag as upper-case text, blank ones included; () if absent."""
    found = value(dataset, keyword)
    if found is None:
        return ()
    several = list(found) if isinstance(found, MultiValue | list | tuple) else [found]
    return tuple(str(one).strip().upper() for one in several)


def numbers(dataset: Dataset, keyword: str) -> tuple[float, ...]:
    """All values of a tag as numbers; () if absent. Raises ExamError if one is no number."""
    try:
        return tuple(float(word) for word in texts(dataset, keyword) if word)
    except ValueError:
        raise ExamError(f"tag {keyword} holds a value that is no number") from None


def number(dataset: Dataset, keyword: str) -> float | None:
    """The first value of a tag as a number; None if absent. Raises ExamError if it is no number."""
    found = numbers(dataset, keyword)
    return found[0] if found else None


def whole_number(dataset: Dataset, keyword: str) -> int | None:
    """The first value of a tag as an integer; None if absent. Raises ExamError if it is none."""
    found = number(dataset, keyword)
    if found is None:
        return None
    if not found.is_integer():
        raise ExamError(f"tag {keyword} holds {found}, need a whole number")
    return int(found)


def items(dataset: Dataset, keyword: str) -> tuple[Dataset, ...]:
    """The items of a sequence; () if it is absent or empty. Raises ExamError if it is no sequence."""
    found = value(dataset, keyword)
    if found is None:
        return ()
    if not isinstance(found, Sequence) or not all(isinstance(item, Dataset) for item in found):
        raise ExamError(f"tag {keyword} is no sequence of items")
    return tuple(found)
