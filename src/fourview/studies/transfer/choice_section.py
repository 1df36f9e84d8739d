"""The part of the page about OUT/classifier: among what it was chosen, how, and what that is worth."""

from __future__ import annotations

from fourview.report.document import Cell, Section, Table
from fourview.studies.transfer.candidates import Candidate
from fourview.studies.transfer.choice import Choice
from fourview.studies.transfer.choice_out import Written
from fourview.studies.transfer.steps import NAMES
from fourview.studies.transfer.study import Study


def choice_section(study: Study, choice: Choice | None, written: Written) -> Section:
    """What is in OUT/classifier, or why nothing is; how often the inner folds chose each candidate."""
    parts = () if choice is None else (_tabulate(choice, written),)
    text = [say_written(written), *_say_number(study, choice, written)]
    return Section("classifier", "The classifier for fourview screen", parts, tuple(text))


def say_written(written: Written, *, reason: str = "") -> str:
    """One sentence or two. reason: in place of the page's, which names no folders."""
    if written.candidate is None:
        said = f"No OUT/classifier: {written.problem}."
    elif written.problem:
        made = (
            f"what made the features of {written.candidate.features} (the store, the weights) is not there as it was; "
            "the command says more, and takes --store and --weights"
        )
        said = f"No OUT/classifier of {written.candidate}: {reason or made}."
    else:
        how = "chosen by its name" if written.named else "chosen by the inner folds of all images"
        said = f"OUT/classifier holds {written.candidate}, {how} and fitted on all images."
    return (
        f"{said} The OUT/classifier that is there is an earlier run's." if written.earlier and written.problem else said
    )


def _say_number(study: Study, choice: Choice | None, written: Written) -> tuple[str, ...]:
    """What is expected of it on other patients like these."""
    if written.candidate is None:
        return ()
    if written.named or choice is None:
        row = "that of its own row, which is right only if it was named before any of these numbers were seen"
        return (f"What to expect of it on other patients like these is {row if written.named else 'its own row'}.",)
    return (
        "What to expect of it on other patients like these is the row “chosen in the inner folds”, not the largest of "
        "the table: in each outer fold it takes the candidate that was best in that fold's inner folds, as the inner "
        "folds of all images choose the one that is written. Candidates score on scales of their own, so this row "
        "ranks by the probabilities that the inner folds gave.",
    )


def _tabulate(choice: Choice, written: Written) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for candidate, times, inner, whole in zip(choice.candidates, choice.times, choice.inner, choice.whole, strict=True):
        name = NAMES[candidate.method.classifier]
        rows.append(
            (
                candidate.features,
                name,
                f"{times} of {choice.folds}",
                round(inner, 3),
                round(whole, 3),
                _mark(candidate, choice, written),
            )
        )
    columns = (
        "features",
        "classifier",
        "chosen in outer folds",
        "inner AUC, mean over folds",
        "inner AUC, all images",
        "",
    )
    note = (
        "Inner AUCs serve to choose. They are no measure: each is the largest of a grid, on the images that chose it."
    )
    return Table("candidates", "What was chosen among", columns, tuple(rows), note)


def _mark(candidate: Candidate, choice: Choice, written: Written) -> str:
    marks = ["chosen"] if candidate == choice.best else []
    if candidate == written.candidate and not written.problem:
        marks.append("written")
    return ", ".join(marks)
