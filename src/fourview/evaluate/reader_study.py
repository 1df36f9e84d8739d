"""A reader study: what several readers, and perhaps models, said about the same breasts, and what was true."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fourview.evaluate.columns import NAMES, CsvTable, name_some
from fourview.evaluate.table import check_truth
from fourview.exam import SetupError

Cluster = Literal["exam", "patient", "none"]
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ReaderStudy:
    """Every reader read every breast once.

    truth     (breasts,) True: malignant
    readers   (readers, breasts) probabilities;  reader_names  one per reader
    models    (models, breasts) probabilities;  model_names  one per model, may be none
    cluster   (breasts,) labels of the exam or patient that intervals keep together; None: breasts are independent
    groups    (breasts,) labels of what is never split between halves: the clusters, or exams where there are none
    keys      (breasts,) "EXAM L" or "EXAM R"; empty: breasts have no names
    file, sha256, ignored  where it was read from, and the columns that were not used

    Raises SetupError if shapes differ, a probability is outside [0, 1], a class is missing, or fewer than two read.
    """

    truth: NDArray[np.bool_]
    readers: Floats
    reader_names: tuple[str, ...]
    models: Floats
    model_names: tuple[str, ...]
    groups: NDArray[Any]
    cluster: NDArray[Any] | None = None
    cluster_is: Cluster = "none"
    keys: tuple[str, ...] = ()
    file: str = ""
    sha256: str = ""
    ignored: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        n = len(check_truth(self.truth))
        if len(self.reader_names) < 2:
            raise SetupError(f"{self.file}: found {len(self.reader_names)} readers; need at least 2")
        for what, scores, names in (
            ("readers", self.readers, self.reader_names),
            ("models", self.models, self.model_names),
        ):
            if scores.shape != (len(names), n):
                raise SetupError(f"{what}: found shape {scores.shape}; need {(len(names), n)}, names by breasts")
            if not ((scores >= 0) & (scores <= 1)).all():  # also finds NaN
                raise SetupError(f"{what}: found numbers outside of [0, 1]; need probabilities")
        for what, labels in (("groups", self.groups), ("cluster", self.cluster)):
            if labels is not None and labels.shape != (n,):
                raise SetupError(f"{what}: found shape {labels.shape}; need {(n,)}, one label per breast")
        if (self.cluster is None) != (self.cluster_is == "none"):
            raise SetupError(f"found clusters that are called {self.cluster_is!r}; need labels, or 'none' without them")

    @property
    def n(self) -> int:
        return len(self.truth)

    @property
    def positives(self) -> int:
        return int(self.truth.sum())

    def model(self, name: str) -> Floats:
        """(breasts,) probabilities of one model. Raises SetupError if there is none of this name."""
        if name not in self.model_names:
            raise SetupError(f"model {name!r}: found {', '.join(self.model_names) or 'none'}; need one of them")
        return np.asarray(self.models[self.model_names.index(name)])

    @classmethod
    def read(cls, path: Path, *, models: Sequence[str] | None = None, cluster: Cluster = "exam") -> ReaderStudy:
        """The study in a CSV table with one row per breast.

        exam (exam_id, case_ID), side (L, R), malignant (label); columns whose name begins with "Reader" hold readers'
        probabilities. models  columns with models' probabilities; None: all others that hold numbers. patient
        (patient_id) is needed for clusters of patients.

        Raises SetupError naming the file, the lines and what is needed.
        """
        table = CsvTable.read(path)
        table.need("exam", "side", "malignant", *(["patient"] if cluster == "patient" else []))
        frame = table.frame
        for column in ("exam", "side", "malignant", *(["patient"] if cluster == "patient" else [])):
            empty = frame[column].is_null() | (frame[column] == "")
            table.refuse(empty, f"{column}: found {{}}; need it for every breast", column)
        truth = table.truths("malignant")
        table.refuse(truth.is_null(), "malignant: found {}; need 0 or 1 for every breast", "malignant")
        twice = pl.DataFrame({"exam": frame["exam"], "side": table.sides()}).is_duplicated()
        table.refuse(twice, "found exams with more than one row for a breast: {}; need one row each", "exam")
        others = [name for name in table.columns if name not in NAMES]
        readers = [name for name in others if name.lower().startswith("reader")]
        if len(readers) < 2:
            raise SetupError(
                f"{path}: found {len(readers)} columns whose name begins with 'Reader'; need at least 2 "
                "with the readers' probabilities"
            )
        candidates = [name for name in others if name not in readers]
        chosen = _choose(table, candidates, models)
        used = {"exam", "side", "malignant", "patient" if cluster == "patient" else "exam", *readers, *chosen}
        yes = truth.to_numpy().astype(bool)
        if yes.all() or not yes.any():
            raise SetupError(f"{path}: found {int(yes.sum())} malignant of {len(yes)} breasts; need both classes")
        labels = frame["patient" if cluster == "patient" else "exam"].to_numpy()
        return cls(
            truth=yes,
            readers=_stack(table, readers),
            reader_names=tuple(readers),
            models=_stack(table, chosen, if_no_model="; if it is no model, name the models with --model"),
            model_names=tuple(chosen),
            groups=labels,
            cluster=None if cluster == "none" else labels,
            cluster_is=cluster,
            keys=tuple(f"{exam} {side}" for exam, side in zip(frame["exam"], table.sides(), strict=True)),
            file=path.name,
            sha256=table.sha256,
            ignored=tuple(table.names.get(name, name) for name in table.columns if name not in used),
        )


def _choose(table: CsvTable, candidates: Sequence[str], models: Sequence[str] | None) -> list[str]:
    """The columns of models: those that were named, or all that hold numbers."""
    if models is None:
        numeric = (pl.col(name).cast(pl.Float64, strict=False).is_not_null().any() for name in candidates)
        found = table.frame.select(numeric).row(0) if candidates else ()
        return [name for name, is_numeric in zip(candidates, found, strict=True) if is_numeric]
    unknown = [name for name in models if name not in candidates]
    if unknown:
        raise SetupError(
            f"{table.file}: model {', '.join(unknown)}: found the columns {name_some(list(candidates)) or '(none)'}; "
            "need one of them"
        )
    return list(dict.fromkeys(models))


def _stack(table: CsvTable, columns: Sequence[str], *, if_no_model: str = "") -> Floats:
    """(columns, breasts) probabilities; every breast needs one."""
    found = []
    for column in columns:
        try:
            values = table.probabilities(column)
        except SetupError as error:
            raise SetupError(f"{error}{if_no_model}") from error
        message = f"{column}: found {{}}; need a probability for every breast{if_no_model}"
        table.refuse(values.is_null(), message, column)
        found.append(values.to_numpy())
    return np.stack(found) if found else np.empty((0, table.frame.height))
