"""Many exams explained, one after the other: a folder each, a table of all maps, and a page that sums them up."""

from __future__ import annotations

import hashlib
import json
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fourview.exam import Exam, ExamError, Finding, SetupError
from fourview.explain.exam_document import Settings
from fourview.explain.exam_folder import load_rows, write_explained
from fourview.explain.explainer import Explainer
from fourview.explain.maps_document import describe_maps
from fourview.report.document import Document
from fourview.report.document_folder import add_document
from fourview.whole_files import remove_parts, write_whole

RUN = "run.json"


class Source(Protocol):
    """An exam before its pixels are read."""

    @property
    def exam_id(self) -> str: ...
    @property
    def label(self) -> str:
        """Its own name: a study's id, a name in a store. Shown on request alone."""

    @property
    def digest(self) -> str:
        """Changes with what is known of its pixels before they are read."""

    def read(self) -> Exam: ...
    def read_outlines(self, finding: Finding) -> Mapping[str, NDArray[np.bool_]]: ...


@dataclass(frozen=True)
class ExplainStep:
    """How far it is. exam: its id; doing: what is done next, "" when the exam is done; problem: why it could not be"""

    done: int
    total: int
    exam: str
    doing: str = ""
    problem: str | None = None


def hash_sources(sources: Sequence[Source]) -> str:
    """16 hex digits: which exams, so that a folder of others is not gone on with."""
    said = json.dumps([[source.exam_id, source.digest] for source in sources])
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def explain_exams(
    sources: Sequence[Source],
    explainer: Explainer,
    out: Path,
    *,
    settings: Settings,
    on_step: Callable[[ExplainStep], None],
    left_out: Mapping[str, str] = {},
    show_ids: bool = False,
) -> tuple[Document, dict[str, str]]:
    """The page of all exams, and exam id or file name -> why it could not be explained.

    OUT/exams/ID/ of each (exam_folder.write_explained), OUT/maps.csv, OUT/report.html

    on_step   called before every piece of work; may raise KeyboardInterrupt, after which the same call goes on
    left_out  file name -> why it is in no exam
    show_ids  exams' own names stand beside their hashes
    What an earlier call with the same settings left in OUT is taken. Raises SetupError: OUT holds something else.
    """
    open_folder(out, settings)
    (out / "exams").mkdir(exist_ok=True)
    remove_parts(out / "exams")
    problems = dict(left_out)
    names = {source.exam_id: source.label for source in sources} if show_ids else {}
    tables = []
    for number, source in enumerate(sources):
        folder = out / "exams" / source.exam_id
        if not folder.is_dir():
            try:
                report = _steps(on_step, number, len(sources), source.exam_id)
                _explain(source, explainer, folder, settings, report, name=names.get(source.exam_id, ""))
            except (SetupError, KeyboardInterrupt):
                raise
            except ExamError as error:
                problems[source.exam_id] = str(error)
            except Exception as error:  # one exam must not stop a batch, whatever its files hold
                place = traceback.extract_tb(error.__traceback__)[-1]
                problems[source.exam_id] = f"unexpected {type(error).__name__} at {Path(place.filename).name}:" + (
                    f"{place.lineno}"
                )
        if source.exam_id not in problems:
            tables.append(load_rows(folder))
        on_step(ExplainStep(number + 1, len(sources), source.exam_id, problem=problems.get(source.exam_id)))
    if not tables:
        raise SetupError(f"found no exam that could be explained: {next(iter(problems.values()), 'no exam')}")
    rows = pl.concat(tables)
    marks = explainer.screener.marks
    document = describe_maps(
        rows, method=explainer.method, marks=marks, problems=problems, settings=settings, names=names
    )
    add_document(out, document, tables={"maps": rows})
    return document, problems


def open_folder(out: Path, settings: Settings) -> None:
    """OUT, empty or of the same settings. Raises SetupError."""
    values: list[Any] = [list(setting) for setting in settings]
    try:
        if out.is_dir() and any(out.iterdir()):
            _check_same(out, values)
        else:
            out.mkdir(parents=True, exist_ok=True)
            write_whole(out / RUN, json.dumps(values, indent=1) + "\n")
        remove_parts(out)
    except OSError as error:
        raise SetupError(f"output {out}: cannot be written ({error.strerror or error}); need another folder") from error


def _check_same(out: Path, values: list[Any]) -> None:
    try:
        before = json.loads((out / RUN).read_bytes())
    except (OSError, ValueError):
        raise SetupError(f"output {out}: the folder is not empty; name a new one") from None
    if before != values:
        changed = [f"{name} is {value}" for name, value in values if [name, value] not in before]
        raise SetupError(
            f"output {out}: holds maps that were made otherwise ({'; '.join(changed) or 'fewer settings'}); use the "
            "same options, or another folder"
        )


def _explain(
    source: Source,
    explainer: Explainer,
    folder: Path,
    settings: Settings,
    report: Callable[[str], None],
    *,
    name: str,
) -> None:
    exam = source.read()
    outlines = source.read_outlines(explainer.finding)
    explained = explainer.explain(exam, outlines=outlines, report=report)
    report("writing")
    try:
        marks = explainer.screener.marks
        write_explained(folder, explained, marks=marks, settings=settings, outlines=outlines, name=name)
    except OSError as error:
        raise SetupError(
            f"cannot write {folder}: {error.strerror or error}; make room or fix it, then run the same command"
        ) from error


def _steps(on_step: Callable[[ExplainStep], None], number: int, total: int, exam: str) -> Callable[[str], None]:
    return lambda doing: on_step(ExplainStep(number, total, exam, doing))


def from_files(sources: Iterator[Any]) -> Iterator[Source]:
    """Exams of files (ingest.ExamSource): nobody has outlined their lesions."""
    return (_FromFiles(source) for source in sources)


@dataclass(frozen=True, eq=False)
class _FromFiles:
    source: Any

    @property
    def exam_id(self) -> str:
        return str(self.source.exam_id)

    @property
    def label(self) -> str:
        return str(self.source.label)

    @property
    def digest(self) -> str:
        return " ".join(self.source.names)

    def read(self) -> Exam:
        exam: Exam = self.source.read()
        return exam

    def read_outlines(self, finding: Finding) -> Mapping[str, NDArray[np.bool_]]:
        return {}
