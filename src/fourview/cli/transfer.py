"""fourview transfer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from fourview.cli.app import INTERRUPTED, app
from fourview.exam import SetupError

if TYPE_CHECKING:
    from rich.table import Table

    from fourview.studies.transfer.feature_set import FeatureSet
    from fourview.studies.transfer.results import Results

_SETTINGS = "settings.json"


@app.command()
def transfer(
    features: Annotated[
        list[Path], typer.Argument(metavar="FEATURES...", help="Folders of `fourview features`, of the same images.")
    ],
    *,
    out: Annotated[Path, typer.Option(help="Output folder: new or empty, or --resume.")],
    labels: Annotated[
        str | None,
        typer.Option(
            help="birads4+, birads5+, malignant, abnormal or column:NAME. Default: birads4+ where images have a "
            "BI-RADS category, else malignant."
        ),
    ] = None,
    birads3: Annotated[Literal["benign", "drop"], typer.Option(help="What BI-RADS 3 is: as in the paper, or out.")] = (
        "benign"
    ),
    protocol: Annotated[
        str,
        typer.Option(
            help="rigorous; as_published, which leaks; or that with leaks closed: +grouped, +selection_in_fold, "
            "+smote_in_fold, or several in one word (+grouped+smote_in_fold). The rigorous run is always done."
        ),
    ] = "rigorous",
    classifier: Annotated[
        str,
        typer.Option(
            help="Of lr, l1_lr, linear_svm, rbf_svm, ridge, random_forest, boosting, knn, majority; commas between."
        ),
    ] = "lr,linear_svm,rbf_svm",
    selection: Annotated[
        Literal["lasso", "l1", "none"],
        typer.Option(help="Of features, in the folds; l1: L1 logistic regression."),
    ] = "lasso",
    penalty: Annotated[
        float | None,
        typer.Option(help="Of the selection, share of what keeps nothing. Default: chosen."),
    ] = None,
    pca: Annotated[int | None, typer.Option(metavar="N", help="N components in place of a selection.")] = None,
    imbalance: Annotated[
        Literal["none", "weights", "smote"] | None,
        typer.Option(help="Against few positives. Default: weights; in the published protocol smote."),
    ] = None,
    kept: Annotated[
        int | None, typer.Option(metavar="N", help="Features that the published selection keeps. Default: as many.")
    ] = None,
    folds: Annotated[int, typer.Option(help="Outer folds, by patient.")] = 5,
    inner: Annotated[int, typer.Option(help="Inner folds, by patient.")] = 5,
    repeats: Annotated[int, typer.Option(help="Of everything, with other folds.")] = 5,
    seed: Annotated[int, typer.Option(help="Of folds, SMOTE, controls.")] = 0,
    controls: Annotated[bool, typer.Option("--controls/--no-controls", help="Permuted labels, noise ...")] = True,
    choose: Annotated[
        str,
        typer.Option(
            metavar="best|EXTRACTOR:CLASSIFIER",
            help="Which one goes into OUT/classifier. best: by the inner folds, and the report says what choosing so "
            "is worth. A name: decide before you have seen the table.",
        ),
    ] = "best",
    store: Annotated[
        Path | None, typer.Option(help="Where the images' store is now, if it was moved since `fourview features`.")
    ] = None,
    weights: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[NAME=]W", help="Where the weights of the features are now; of several feature sets: NAME=W each."
        ),
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
    resume: Annotated[bool, typer.Option("--resume", help="Take the pieces that an earlier run left in OUT.")] = False,
) -> None:
    """Small classifiers on frozen features, measured so that the number is true; or as published, with its leaks."""
    from fourview.cli.progress import asked_to_stop, shown_steps
    from fourview.report.document_folder import add_document
    from fourview.studies.transfer.candidates import read_choice
    from fourview.studies.transfer.choice_out import open_sources, read_weights, write_choice
    from fourview.studies.transfer.choice_section import say_written
    from fourview.studies.transfer.feature_set import load_features
    from fourview.studies.transfer.labels import read_labels
    from fourview.studies.transfer.pieces import do_tasks
    from fourview.studies.transfer.results import gather, tabulate_scores
    from fourview.studies.transfer.stages import parse_protocol
    from fourview.studies.transfer.steps import read_methods
    from fourview.studies.transfer.study import Plan, open_study
    from fourview.studies.transfer.transfer_document import describe_study
    from fourview.terminal import open_console, show_document
    from fourview.whole_files import write_whole, writing_to

    stage = parse_protocol(protocol, smote=imbalance != "none")
    methods = read_methods(
        classifier, selection="none" if pca is not None else selection, imbalance=imbalance or "weights",
        components=pca, share=penalty,
    )  # fmt: skip
    plan = Plan(methods, stage, folds, inner, repeats, seed, kept, controls)
    sets = _name_sets(features, [load_features(folder) for folder in features])
    found = read_labels(next(iter(sets.values())), labels, birads3=birads3)
    study = open_study(sets, found, plan)
    named = read_choice(choose, study.cards, plan.methods)
    moved = read_weights(weights or (), tuple(sets))
    _check_out(out, study.settings, resume=resume)
    sources = open_sources(study, sets, store=store, weights=moved)
    for name, source in sources.items():
        if isinstance(source, str):
            typer.echo(f"fourview: no OUT/classifier can be written of {name}: {source}", err=True)
    try:
        with writing_to(out), asked_to_stop() as stop, shown_steps("pieces") as show:
            out.mkdir(parents=True, exist_ok=True)
            write_whole(out / _SETTINGS, json.dumps(study.settings, indent=1) + "\n")
            pieces = do_tasks(
                study.tasks(), out, jobs=jobs, on_step=lambda done, total: show(done, total, None), asked_to_stop=stop
            )
        results = gather(study, pieces)
        with writing_to(out):
            written = write_choice(out, study, results, sources, named=named)
    except KeyboardInterrupt:
        typer.echo("fourview: interrupted; what is done stays: run the same command with --resume", err=True)
        raise typer.Exit(INTERRUPTED) from None
    document = describe_study(study, results, written)
    add_document(out, document)
    with writing_to(out):
        write_whole(out / "scores.csv", tabulate_scores(study, results).write_csv())
    console = open_console()
    console.print(_tabulate(results))
    console.print(say_written(written, reason=written.problem), soft_wrap=True, markup=False)
    show_document(console, document, out)


def _name_sets(folders: list[Path], sets: list[FeatureSet]) -> dict[str, FeatureSet]:
    """By extractor; by folder where two are of one extractor. Raises SetupError if even these are equal."""
    names = [features.card.extractor for features in sets]
    if len(set(names)) < len(names):
        names = [folder.resolve().name for folder in folders]
    if len(set(names)) < len(names):
        raise SetupError(f"found the feature sets {', '.join(names)}; need folders of different names")
    return dict(zip(names, sets, strict=True))


def _check_out(out: Path, settings: Mapping[str, Any], *, resume: bool) -> None:
    """Nothing, if the output is new, or holds pieces of the same features, truth and plan."""
    if not out.is_dir() or not any(out.iterdir()):
        if out.exists() and not out.is_dir():
            raise SetupError(f"output {out}: found a file, need a folder")
        return
    if not resume:
        raise SetupError(f"{out}: found a folder that is not empty; need a new one, or --resume")
    try:
        before = json.loads((out / _SETTINGS).read_text())
    except (OSError, ValueError):
        raise SetupError(f"{out}: found no {_SETTINGS} to read; need the output of `fourview transfer`") from None
    wanted = json.loads(json.dumps(settings))
    if before.get("format") != wanted["format"]:
        raise SetupError(f"{out}: found pieces of another version of fourview; need another --out")
    if other := [name for name in wanted if before.get(name) != wanted[name]]:
        raise SetupError(f"{out}: found pieces of another {', '.join(other)}; need the same command, or another --out")


def _tabulate(results: Results) -> Table:
    """One row per feature set and classifier, rigorous beside the published stage."""
    from rich.markup import escape
    from rich.table import Table

    from fourview.report.number_text import write_estimate
    from fourview.studies.transfer.choice import CHOSEN
    from fourview.studies.transfer.steps import NAMES

    first = results.rows[0].measures["image"].auc
    title = f"Per image, 95 % intervals; {first.n} images, {first.positives} positive, {first.clusters} patients"
    table = Table(title=title, title_justify="left")
    for name in ("features", "classifier"):
        table.add_column(name, overflow="fold")
    stages = {(row.features, row.method): row for row in results.stages}
    if stages:
        stage = results.stages[0].stage
        table.title = f"{title}\nfirst column of numbers: {stage.name}. {stage.banner}"
        table.add_column("balanced_accuracy_hard", no_wrap=True)
    for name in ("rigorous\nbalanced accuracy", "rigorous\nAUC"):
        table.add_column(name, no_wrap=True)
    table.add_column("in words", overflow="fold")
    if results.choice is not None:
        m = results.choice.measures["image"]
        beside = [""] if stages else []
        name = f"one of {len(results.choice.candidates)}"
        table.add_row(CHOSEN, name, *beside, write_estimate(m.balanced_accuracy), write_estimate(m.auc), m.says)
    for row in results.rows:
        m = row.measures["image"]
        beside = [write_estimate(stages[row.features, row.method].measures.balanced_accuracy)] if stages else []
        numbers = write_estimate(m.balanced_accuracy), write_estimate(m.auc)
        table.add_row(escape(row.features), NAMES[row.method.classifier], *beside, *numbers, m.says)
    return table
