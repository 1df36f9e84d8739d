"""The folder of a statistical report: page, JSON, tables and plots, whole or not at all."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

import polars as pl

from fourview.exam import SetupError
from fourview.report.document import Document
from fourview.report.document_json import document_json, estimates_csv
from fourview.report.page.document_page import draw_document_page
from fourview.whole_files import whole_folder, write_whole

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_OWN = ("report.html", "results.json", "estimates.csv", "plots")


def write_document(
    out: Path, document: Document, *, tables: Mapping[str, pl.DataFrame] = {}, texts: Mapping[str, str] = {}
) -> None:
    """OUT/report.html, results.json, estimates.csv, plots/NAME.svg, and what else is given.

    out     absent or empty
    tables  NAME -> OUT/NAME.csv;  texts  file name -> its content

    Raises SetupError if `out` is a file or not empty, ValueError for names that are no file names or come twice,
    OSError if it cannot be written; then `out` is as it was.
    """
    check_report_folder(out)
    files = _render(document, tables, texts)
    try:
        with whole_folder(out.absolute()) as part:  # absolute: "." has no name to write beside
            for name, text in files.items():
                (part / name).parent.mkdir(exist_ok=True)
                (part / name).write_bytes(text.encode())
    except OSError as error:
        raise SetupError(
            f"output {out}: cannot be written ({error.strerror or error}); need room and a right"
        ) from error


def add_document(folder: Path, document: Document, *, tables: Mapping[str, pl.DataFrame] = {}) -> None:
    """The files of a document in a folder that holds other things; each whole, in place of what an earlier one left.

    tables  as for write_document. Raises SetupError if they cannot be written.
    """
    try:
        for name, text in _render(document, tables, {}).items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            write_whole(folder / name, text)
    except OSError as error:
        raise SetupError(
            f"output {folder}: cannot be written ({error.strerror or error}); need room and a right"
        ) from error


def _render(document: Document, tables: Mapping[str, pl.DataFrame], texts: Mapping[str, str]) -> dict[str, str]:
    """File name -> content. Raises ValueError for names that are no file names or come twice."""
    more = {**{f"{name}.csv": table.write_csv() for name, table in tables.items()}, **texts}
    names = [figure.name for figure in document.figures]
    if len(more) != len(tables) + len(texts) or len(set(names)) != len(names):
        raise ValueError(f"found a name twice among {sorted([*tables, *texts])} or the figures {sorted(names)}")
    for name in (*more, *names):
        if not _NAME.fullmatch(name) or name in _OWN:
            raise ValueError(f"found the name {name!r}; need letters, digits, _ - . and none of {', '.join(_OWN)}")
    return {
        "report.html": draw_document_page(document, files=tuple(more)),
        "results.json": document_json(document),
        "estimates.csv": estimates_csv(document),
        **{f"plots/{figure.name}.svg": figure.svg for figure in document.figures},
        **more,
    }


def check_report_folder(out: Path) -> None:
    """Nothing, if a report may be written to `out`: it is absent or an empty folder. Raises SetupError otherwise.

    To be asked before the work is done as well: an hour of computing should not end in this.
    """
    try:
        if out.exists() and not out.is_dir():
            raise SetupError(f"output {out}: found a file, need a folder (new or empty)")
        if out.is_dir() and any(out.iterdir()):
            raise SetupError(f"output {out}: the folder is not empty; name a new one")
        parent = next(folder for folder in out.absolute().parents if folder.exists())
    except OSError as error:
        raise SetupError(f"output {out}: cannot be looked at ({error.strerror}); need another folder") from error
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise SetupError(f"output {out}: {parent} is no folder that can be written to; need one")
