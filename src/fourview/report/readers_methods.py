"""What the analysis of a reader study did, in words: methods, settings, the checklist's answers, warnings."""

from __future__ import annotations

from collections.abc import Iterator

from fourview.evaluate.declaration import Declaration
from fourview.evaluate.hybrid import CLIP, WEIGHTS
from fourview.evaluate.reader_analysis import StudyResults
from fourview.evaluate.reader_study import ReaderStudy
from fourview.report.checklist import fill_checklist
from fourview.report.document import ChecklistItem
from fourview.report.versions import package_versions

COMPUTED = (
    "Averages of a reader's and a model's probabilities were computed afterwards. No reader saw a model's output, so "
    "they say nothing on how readers read with its help."
)
_AVERAGES = {
    "raw": "of the probabilities",
    "logit": f"of the logits of the probabilities (kept within {CLIP:g} and {1 - CLIP:g}), turned into a probability",
    "rank": "of the ranks among these breasts, which exist only for a whole table and not for one exam",
}
_COVARIANCES = {
    "clustered": "estimated with Obuchowski's (1997) clustered covariance, keeping the breasts of {} together",
    "delong": "estimated as DeLong and others (1988), which takes breasts as independent",
    "jackknife": "estimated by the jackknife, leaving out one {} at a time",
    "bootstrap": "estimated by a bootstrap of {}s",
}


def describe_methods(results: StudyResults) -> Iterator[str]:
    """Paragraphs for a paper: only what this run did."""
    study, declared = results.study, results.declared
    j, own = len(study.readers), _unit(study)
    yield (
        f"{j} readers gave a probability of malignancy for each of {study.n:,} breasts ({study.positives:,} "
        "malignant); every reader read every breast. Areas under the ROC curve (AUC) are empirical (ties count one "
        "half). The average precision is the mean precision at the malignant breasts; the area under straight lines "
        "between the points of the precision-recall curve (trapezoid) is given apart. Intervals are 95 %. Those of "
        "one score use "
        + (
            "DeLong's variance (breasts as independent) for the AUC and the infinitesimal jackknife for the average "
            "precision, on the logit scale."
            if study.cluster is None
            else f"variances that keep the breasts of {_article(own)} together (Obuchowski 1997 for the AUC, "
            "infinitesimal jackknife for the average precision), on the logit scale; DeLong's is shown beside the "
            "former."
        )
    )
    yield (
        "Means over readers and all differences over readers follow Obuchowski and Rockette (1995) with Hillis' "
        f"(2007) degrees of freedom, {declared.readers_are} readers and {declared.cases_are} cases: "
        f"{_holds_for(declared)}. {_covariance(study, declared)} The spread over readers is their population standard "
        "deviation and range."
    )
    if study.model_names:
        yield (
            "A model was compared with the readers by its difference to each of them, taken as a single treatment "
            f"(Hillis; Chakraborty). The margin of non-inferiority was {declared.margin:g} in AUC. Superior: the "
            "interval lies above 0; non-inferior: above minus the margin; inferior: below minus the margin; else "
            "nothing was shown. The margin is an option of the program: that it was declared before the results were "
            "seen is for the authors to say."
        )
        yield _hybrid_methods(results)
    if declared.threshold is not None:
        yield (
            "Readers' points are the sensitivity and specificity of a probability of at least "
            f"{declared.threshold:g}, with Wilson intervals at the effective sample size."
        )


def _hybrid_methods(results: StudyResults) -> str:
    declared, own = results.declared, _unit(results.study, whole=True)
    if declared.weight is not None:
        weight = f"The reader's weight was {declared.weight:g} throughout."
    else:
        weight = (
            f"The reader's weight was one of {len(WEIGHTS)} from 0 to 1 in steps of {WEIGHTS[1]:g}: that with the "
            f"largest mean AUC over readers in one half of the {own}s was used in the other half, and the other way "
            f"round (stratified by whether {_article(own)} has a malignant breast, seed {declared.seed}). Metrics "
            "were computed within halves and averaged; intervals take the chosen weights as given."
        )
    ties = (
        "What ties contribute was computed by ordering breasts as a reader did and, only where a reader rated them "
        "alike, as the model did."
    )
    both = declared.readers_are == declared.cases_are == "random"
    f = ", F = MS(T) / [MS(TR) + J max(Cov2 - Cov3, 0)]," if both else ""
    return (
        f"Computed averages are {_AVERAGES[declared.average]}. {weight} {COMPUTED} {ties} Averages were compared with "
        f"the readers as two treatments of the same readers and cases{f} and with the model as a single treatment."
    )


def describe_warnings(results: StudyResults) -> Iterator[str]:
    """What must be known before any number."""
    models = len(results.study.model_names)
    if models:
        yield COMPUTED
    if models > 1:
        yield f"{models} models were compared: intervals and p values are not corrected for several comparisons."
    yield from results.readers.mean_auc.warnings


def list_settings(results: StudyResults) -> Iterator[tuple[str, str]]:
    """(what, value) of everything that the numbers depend on."""
    study, declared = results.study, results.declared
    yield "study table", f"{study.file or 'arrays'}, SHA-256 {study.sha256 or 'none'}, {study.n:,} rows"
    yield "readers", ", ".join(study.reader_names)
    yield "models", ", ".join(study.model_names) or "none"
    yield "columns that were not used", ", ".join(study.ignored) or "none"
    yield "cluster", study.cluster_is
    yield "covariance", declared.covariance
    yield "readers are, cases are", f"{declared.readers_are}, {declared.cases_are}"
    yield "margin of non-inferiority", f"{declared.margin:g}"
    yield "average", declared.average
    yield "reader's weight", "chosen on other cases (--sweep)" if declared.weight is None else f"{declared.weight:g}"
    yield "threshold of readers' points", "none" if declared.threshold is None else f"{declared.threshold:g}"
    yield "seed", str(declared.seed)


def answer_checklist(results: StudyResults) -> tuple[ChecklistItem, ...]:
    """The reporting checklists with what this run knows."""
    study, declared = results.study, results.declared
    known = {
        "unit": f"breast; cluster: {study.cluster_is}",
        "n": f"{study.n:,} breasts, {study.positives:,} malignant",
        "missing data": "none: the program refuses tables in which a reader did not read a breast",
        "metrics": "AUC, average precision, trapezoid PR area",
        "intervals": "95 %: see Methods",
        "readers": f"{len(study.readers)} readers, fully crossed; they did not see a model's output",
        "software": f"fourview {package_versions()['fourview']}",
    }
    if study.model_names:
        known["comparisons"] = (
            f"models and computed averages against readers ({declared.readers_are} readers, {declared.cases_are} "
            f"cases); margin of non-inferiority {declared.margin:g}"
        )
    return fill_checklist(known)


def _unit(study: ReaderStudy, *, whole: bool = False) -> str:
    """What stays together. whole: in a split into halves, where exams do even if breasts are taken as independent."""
    return "patient" if study.cluster_is == "patient" else "exam" if study.cluster_is == "exam" or whole else "breast"


def _article(noun: str) -> str:
    return f"an {noun}" if noun[0] in "aeio" else f"a {noun}"


def _holds_for(declared: Declaration) -> str:
    if declared.readers_are == "fixed":
        return "they hold for these readers and other cases"
    if declared.cases_are == "fixed":
        return "they hold for other readers and these cases"
    return "they hold for other readers and other cases like these"


def _covariance(study: ReaderStudy, declared: Declaration) -> str:
    if declared.cases_are == "fixed":
        return "No covariance between readers enters."
    how = _COVARIANCES[declared.covariance if study.cluster is not None else _without_clusters(declared)]
    text = how.format(_article(_unit(study)) if declared.covariance == "clustered" else _unit(study))
    other = "" if declared.covariance == "bootstrap" else "; those of average precisions by the jackknife"
    return f"Covariances of areas were {text}{other}."


def _without_clusters(declared: Declaration) -> str:
    """Obuchowski's covariance of breasts that each are a cluster is DeLong's."""
    return "delong" if declared.covariance == "clustered" else declared.covariance
