"""The reporting checklists of CLAIM and TRIPOD+AI, filled in as far as a run can know.

Numbers and subjects of the items are those of
  CLAIM 2024   Tejani and others, Checklist for Artificial Intelligence in Medical Imaging: 2024 update, Radiology:
               Artificial Intelligence 2024;6(4):e240300 (44 items)
  TRIPOD+AI    Collins and others, TRIPOD+AI statement, BMJ 2024;385:e078378 (27 items, 52 with their parts)
The wording here is ours, and short: read the originals before you tick anything. An item that a run cannot know stays
empty for the authors; no item is ever marked as done.
"""

from __future__ import annotations

from collections.abc import Mapping

from fourview.report.document import ChecklistItem

# What a run may know, and what belongs there.
KEYS = {
    "data source": "tables read, with the time they were written",
    "dates": "first and last exam",
    "population": "which units of the tables were evaluated",
    "exclusions": "what was left out, how many and why",
    "reference standard": "the columns that hold the truth, and what they say",
    "unit": "breast, image, exam or patient, and what units are clustered by",
    "n": "units, positives and clusters",
    "characteristics": "age, density, vendors ... of what was evaluated",
    "prevalence": "share of positives in the table, and the one that results were moved to",
    "missing data": "what was missing, and what was done about it",
    "inputs": "views and image types that the model read",
    "preprocessing": "what happened to images before the network",
    "de-identification": "how exams are named in the tables",
    "partitions": "which exams anything was chosen or fitted on, and on which it was measured",
    "model": "weights, their origin and hash",
    "model output": "what the score is",
    "ensemble": "members, and how they were combined",
    "updating": "recalibration, and on which exams it was fitted",
    "software": "packages with versions",
    "metrics": "what was measured",
    "intervals": "method of the intervals",
    "thresholds": "operating points, and where they come from",
    "comparisons": "what was compared, and how",
    "readers": "how many readers, and what the model was to them",
    "results": "headline numbers with intervals",
    "calibration": "calibration, with intervals",
    "subgroups": "results in subgroups",
    "sites": "results per hospital or vendor",
    "fairness": "what was done to find differences between groups of women",
    "robustness": "how results move with choices of the analysis",
    "failures": "which errors were looked at",
    "reproduction": "how to compute the numbers again",
}

# item, what it asks for, keys that answer it
_CLAIM: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("1", "Title or abstract: names AI and the kind of technology", ()),
    ("2", "Abstract: design, methods, results, conclusions", ()),
    ("3", "Background: clinical and scientific; intended use and role", ()),
    ("4", "Aims and hypotheses", ()),
    ("5", "Prospective or retrospective", ()),
    ("6", "Goal of the study", ()),
    ("7", "Where the data come from", ("data source", "dates")),
    ("8", "Who was included and excluded", ("population", "exclusions")),
    ("9", "Preprocessing of the data", ("preprocessing",)),
    ("10", "How subsets of the data were selected", ("population",)),
    ("11", "De-identification", ("de-identification",)),
    ("12", "How missing data were handled", ("missing data",)),
    ("13", "How the images were acquired", ("inputs",)),
    ("14", "Reference standard: how it was obtained", ("reference standard",)),
    ("15", "Reference standard: why this one", ()),
    ("16", "Reference standard: who annotated", ()),
    ("17", "How the test set was annotated", ()),
    ("18", "Variability between and within annotators", ()),
    ("19", "How data were assigned to partitions", ("partitions",)),
    ("20", "At which level partitions are disjoint (patient, exam, image)", ("partitions",)),
    ("21", "Intended sample size, and why", ()),
    ("22", "The model in detail: inputs, layers, outputs", ("model", "model output")),
    ("23", "Software with versions", ("software",)),
    ("24", "How parameters were initialised", ()),
    ("25", "How the model was trained", ()),
    ("26", "How the final model was chosen", ()),
    ("27", "Ensembling", ("ensemble",)),
    ("28", "Metrics of performance", ("metrics", "thresholds", "prevalence")),
    ("29", "Uncertainty and significance", ("unit", "intervals", "comparisons")),
    ("30", "Robustness or sensitivity analysis", ("robustness",)),
    ("31", "Explainability, and how it was checked", ()),
    ("32", "Evaluation on internal data", ()),
    ("33", "Testing on external data", ()),
    ("34", "Registration of a clinical trial", ()),
    ("35", "Numbers included and excluded", ("n", "exclusions")),
    ("36", "Characteristics of the women in each partition", ("characteristics", "prevalence")),
    ("37", "Performance in all partitions and groups, against benchmarks", ("subgroups", "calibration", "readers")),
    ("38", "Diagnostic performance with its precision", ("results",)),
    ("39", "Analysis of failures", ("failures",)),
    ("40", "Limitations", ()),
    ("41", "Implications for practice; intended use", ()),
    ("42", "Where the full protocol or further technical details are", ()),
    ("43", "Availability of software, model and data", ("reproduction",)),
    ("44", "Funding, and the role of funders", ()),
)
_TRIPOD: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("1", "Title: development or evaluation, of what, for whom", ()),
    ("2", "Abstract: see TRIPOD+AI for Abstracts", ()),
    ("3a", "Clinical context, reasons, existing models", ()),
    ("3b", "Target population, purpose in the pathway, users", ()),
    ("3c", "Known inequalities between groups", ()),
    ("4", "Objectives: development, evaluation or both", ()),
    ("5a", "Sources of data, and how representative they are", ("data source",)),
    ("5b", "Dates of the data", ("dates",)),
    ("6a", "Setting: number and place of centres", ()),
    ("6b", "Who was eligible", ("population", "exclusions")),
    ("6c", "Treatments received, if relevant", ()),
    ("7", "Preparation and quality checks of the data, alike in all groups or not", ("preprocessing",)),
    ("8a", "Outcome: definition, horizon, how assessed, why", ("reference standard",)),
    ("8b", "Who assessed a subjective outcome", ()),
    ("8c", "Blinding of outcome assessment", ()),
    ("9a", "How predictors were first chosen", ()),
    ("9b", "Predictors: definition, how and when measured", ("inputs",)),
    ("9c", "Who assessed subjective predictors", ()),
    ("10", "Sample size: how arrived at, why enough", ()),
    ("11", "How missing data were handled; why data were left out", ("missing data",)),
    ("12a", "Which data were used for what", ("partitions",)),
    ("12b", "How predictors were handled", ()),
    ("12c", "Kind of model, building steps, internal validation", ()),
    ("12d", "Heterogeneity between clusters such as hospitals: how handled", ("sites",)),
    (
        "12e",
        "Measures and plots of performance; comparison of models",
        ("metrics", "intervals", "thresholds", "prevalence", "comparisons", "readers"),
    ),
    ("12f", "Updating of the model that arose from evaluation", ("updating",)),
    ("12g", "How predictions were calculated", ("model", "ensemble", "software")),
    ("13", "Methods against class imbalance, and recalibration after them", ()),
    ("14", "What was done about fairness, and why", ("fairness",)),
    ("15", "Output of the model; thresholds, and how they were found", ("model output", "thresholds")),
    ("16", "Differences between development and evaluation data", ()),
    ("17", "Ethics approval, consent", ()),
    ("18a", "Funding, and the role of funders", ()),
    ("18b", "Conflicts of interest", ()),
    ("18c", "Where the protocol is, or that there is none", ()),
    ("18d", "Registration, or that there is none", ()),
    ("18e", "Availability of the data", ()),
    ("18f", "Availability of the analysis code", ("reproduction",)),
    ("19", "Involvement of patients and the public", ()),
    ("20a", "Flow of participants, with and without the outcome", ("n", "exclusions")),
    ("20b", "Characteristics, overall and by source; differences between groups", ("characteristics",)),
    ("20c", "Comparison with the development data", ()),
    ("21", "Participants and events in each analysis", ("unit", "n")),
    ("22", "The full model, so that others can use it", ("model",)),
    ("23a", "Performance with intervals, also in key groups", ("results", "calibration", "subgroups")),
    ("23b", "Heterogeneity of performance between clusters", ("sites",)),
    ("24", "Results of updating the model", ("updating",)),
    ("25", "Interpretation, with fairness and earlier studies", ()),
    ("26", "Limitations, and what they do to bias, uncertainty, generality", ()),
    ("27a", "What to do with poor or missing input in use", ()),
    ("27b", "What users must do and know", ()),
    ("27c", "Next steps for research", ()),
)


def fill_checklist(known: Mapping[str, str]) -> tuple[ChecklistItem, ...]:
    """Every item of both guidelines in order, with what is known at each place it belongs to.

    known  from KEYS to one or two sentences; missing keys and empty texts leave their items to the authors

    Raises ValueError for a key that no item asks for: its text would be lost.
    """
    if unknown := sorted(known.keys() - KEYS.keys()):
        raise ValueError(f"checklist: found {', '.join(unknown)}; need keys among {', '.join(KEYS)}")

    def answer(keys: tuple[str, ...]) -> str:
        return " ".join(known[key] for key in keys if known.get(key))

    claim = [ChecklistItem("CLAIM 2024", item, asks, answer(keys)) for item, asks, keys in _CLAIM]
    tripod = [ChecklistItem("TRIPOD+AI", item, asks, answer(keys)) for item, asks, keys in _TRIPOD]
    return (*claim, *tripod)
