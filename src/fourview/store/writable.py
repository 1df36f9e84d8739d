"""Texts that can be written. File names may hold bytes that are no UTF-8; Python reads them as lone surrogates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from fourview.datasets.record import ImageRecord, Lesion, Listing


def writable(text: str) -> str:
    """The text with every lone surrogate shown as \\udcff, since no file, table or terminal takes one."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def writable_listing(listing: Listing) -> Listing:
    """The listing with writable texts; paths stay as they are, because the files are opened by them."""
    return Listing(
        tuple(map(_writable_record, listing.records)),
        tuple((writable(case), writable(reason)) for case, reason in listing.problems),
        tuple(map(writable, listing.warnings)),
    )


def _writable_record(record: ImageRecord) -> ImageRecord:
    texts = {one.name: _writable_value(getattr(record, one.name)) for one in fields(record)}
    return replace(record, **texts)


def _writable_value(value: Any) -> Any:
    """A text, texts, or lesions; anything else as it is."""
    if type(value) is str:  # not an enum's
        return writable(value)
    if isinstance(value, tuple):
        return tuple(map(_writable_value, value))
    if isinstance(value, Mapping):
        return {writable(word): writable(said) for word, said in value.items()}
    if isinstance(value, Lesion):
        return replace(value, lesion=writable(value.lesion), descriptors=_writable_value(value.descriptors))
    return value
