"""A population as a folder: a folder per exam, the tables of its truth, and what it was drawn from.

    phantom.json, recipe.toml        what was drawn: with this program, these two make the same bytes again
    exam_000000/ ...                 images and masks of one exam (exam_files)
    images.csv                       every image; also a list that `fourview screen` takes
    masks.csv                        every mask
    lesions.csv                      those of biopsied findings: what `fourview evaluate --lesions` takes
    truth/breasts.csv                what `fourview evaluate --truth` takes; exams.csv, findings.csv: phantom.truth

The tables come last: a folder without truth/ is not finished.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fourview.exam import SetupError
from fourview.phantom.compress import SYNTAXES
from fourview.phantom.draw import SCALES
from fourview.phantom.exam_files import DrawExam, DrawnExam, Files
from fourview.phantom.population import PlannedExam, plan_exam
from fourview.phantom.profiles import PROFILES
from fourview.phantom.recipe import GENERATOR, Recipe
from fourview.phantom.recipe_text import format_recipe
from fourview.phantom.truth import format_table, write_truth
from fourview.spread import spread
from fourview.whole_files import remove_parts, write_whole, writing_to

FORMAT = "fourview phantom 1"
ABOUT_FILE, RECIPE_FILE = "phantom.json", "recipe.toml"
IMAGES_FILE, MASKS_FILE, LESIONS_FILE, TRUTH = "images.csv", "masks.csv", "lesions.csv", "truth"
_MASK_COLUMNS = ("exam", "view", "finding", "malignant", "mask", "kind", "biopsied")
Step = Callable[[int, int], None]  # exams done, of how many


@dataclass(frozen=True)
class PhantomFolder:
    """A finished folder. already_there: exams that an earlier run had written."""

    out: Path
    plans: tuple[PlannedExam, ...]
    images: int
    masks: int
    already_there: int


def draw_folder(
    recipe: Recipe,
    out: Path,
    *,
    exams: int,
    start: int = 0,
    seed: int = 0,
    scale: float = 0.25,
    files: Files = "dicom",
    syntax: str = "explicit",
    jobs: int = 1,
    resume: bool = False,
    on_step: Step | None = None,
) -> PhantomFolder:
    """Exams `start` to `start + exams - 1` of the population of recipe and seed, as files with their truth in `out`.

    out     new or empty; with resume, what an earlier run of the same settings left there is kept, exam by exam (more
            exams may be asked for than before)
    files   "dicom" in one of compress.SYNTAXES, or "png"
    jobs    processes; the bytes do not depend on it

    Stopped at any moment, whole exams stay. Raises SetupError if `out` holds something else or cannot be written.
    """
    about = _describe(recipe, exams=exams, start=start, seed=seed, scale=scale, files=files, syntax=syntax)
    if jobs < 1:
        raise SetupError(f"found {jobs} jobs, need 1 or more")
    out = out.absolute()
    with writing_to(out):
        _open(out, about, recipe, resume=resume)
        try:
            drawn = _draw_exams(DrawExam(out, recipe, seed, scale, files, syntax), about, jobs=jobs, on_step=on_step)
            plans = tuple(plan_exam(recipe, seed=seed, index=exam.index) for exam in drawn)
            masks = _write_tables(out, recipe, plans, drawn)
        finally:
            remove_parts(out)  # of workers that were ended while they wrote
    return PhantomFolder(out, plans, 4 * len(drawn), masks, sum(exam.already_there for exam in drawn))


def _describe(
    recipe: Recipe, *, exams: int, start: int, seed: int, scale: float, files: Files, syntax: str
) -> dict[str, Any]:
    """The content of phantom.json. Raises SetupError for what cannot be drawn."""
    for name, value, least in (("exams", exams, 1), ("start", start, 0), ("seed", seed, 0)):
        if value < least:
            raise SetupError(f"phantom: found {name} {value}, need {least} or more")
    if not SCALES[0] <= scale <= SCALES[1]:
        raise SetupError(f"phantom: found scale {scale}, need {SCALES[0]:g} to {SCALES[1]:g}")
    if files not in ("dicom", "png") or syntax not in SYNTAXES:
        raise SetupError(
            f"phantom: found files {files!r} and syntax {syntax!r}; need dicom or png, and one of {', '.join(SYNTAXES)}"
        )
    films = [name for name, share in recipe.profiles.items() if share and PROFILES[name].film]
    if films and files == "dicom":
        raise SetupError(
            f"phantom: recipe {recipe.name} has the profile {', '.join(films)}, films, which are no DICOM mammograms; "
            "need another format"
        )
    return {
        "format": FORMAT,
        "synthetic": "no person was imaged; nothing on these images says anything about patients",
        "generator": GENERATOR,
        "recipe": recipe.name,
        "difficulty": recipe.difficulty,
        "recipe_hash": recipe.hash,
        "seed": seed,
        "start": start,
        "exams": exams,
        "scale": scale,
        "files": files,
        "syntax": syntax if files == "dicom" else None,
    }


def read_about(folder: Path) -> dict[str, Any]:
    """What phantom.json says. Raises SetupError if there is none, or it is of another format."""
    path = folder / ABOUT_FILE
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SetupError(f"{folder}: no readable {ABOUT_FILE}; need a folder that `fourview phantom` wrote") from error
    if not isinstance(about, dict) or about.get("format") != FORMAT or not isinstance(about.get("exams"), int):
        raise SetupError(f"{path}: found another format, need {FORMAT!r}")
    return about


def _open(out: Path, about: dict[str, Any], recipe: Recipe, *, resume: bool) -> None:
    """`out` ready to be drawn into: named for what it is, freed of what a killed run left half done."""
    if out.exists() and not out.is_dir():
        raise SetupError(f"output {out}: found a file, need a folder (new or empty)")
    if out.is_dir():
        remove_parts(out, of=ABOUT_FILE)  # of a run that was killed before it had said what it draws
    if out.is_dir() and any(out.iterdir()):
        if not resume:
            raise SetupError(f"output {out}: the folder is not empty; name a new one, or add --resume")
        before = read_about(out)
        wrong = [key for key in about if key != "exams" and before.get(key) != about[key]]
        if wrong:
            said = ", ".join(f"{key} {before.get(key)!r} instead of {about[key]!r}" for key in wrong)
            raise SetupError(f"--resume: {out} was drawn with {said}; need the same, or a new folder")
        if before["exams"] > about["exams"]:
            raise SetupError(f"--resume: {out} is of {before['exams']} exams; need as many or more, or a new folder")
    out.mkdir(parents=True, exist_ok=True)
    remove_parts(out)
    if (out / TRUTH).is_dir():
        shutil.rmtree(out / TRUTH)  # comes again when all exams are there
    write_whole(out / ABOUT_FILE, json.dumps(about, indent=1) + "\n")
    write_whole(out / RECIPE_FILE, format_recipe(recipe))


def _draw_exams(work: DrawExam, about: dict[str, Any], *, jobs: int, on_step: Step | None) -> list[DrawnExam]:
    drawn: list[DrawnExam] = []
    indices = range(about["start"], about["start"] + about["exams"])
    with closing(spread(work, indices, jobs=jobs)) as results:
        for exam in results:
            drawn.append(exam)
            if on_step is not None:
                on_step(len(drawn), len(indices))
    return drawn


def _write_tables(out: Path, recipe: Recipe, plans: Sequence[PlannedExam], drawn: Sequence[DrawnExam]) -> int:
    """All tables; the number of masks."""
    images, masks = [], []
    for plan, exam in zip(plans, drawn, strict=True):
        for image in exam.images:
            side, angle = image.view.side.value, image.view.angle
            images.append(
                {
                    "file": image.file,
                    "exam": exam.label,
                    "side": side,
                    "view": angle,
                    "spacing_mm": f"{image.spacing_mm:.6g}",
                    "patient": plan.patient,
                    "name": plan.name,
                    "faces": image.faces,
                    "profile": plan.profile,
                }
            )
            for number, file, _ in image.masks:
                finding = plan.findings[number]
                cells = (exam.exam_id, image.view.value, number, int(finding.malignant), file, finding.kind)
                masks.append(dict(zip(_MASK_COLUMNS, (*cells, int(finding.biopsied)), strict=True)))
    write_whole(out / IMAGES_FILE, format_table(images))
    header = ",".join(_MASK_COLUMNS) + "\n"
    write_whole(out / MASKS_FILE, format_table(masks) or header)
    write_whole(out / LESIONS_FILE, format_table([row for row in masks if row["biopsied"]]) or header)
    write_truth(
        out / TRUTH,
        recipe,
        plans,
        exams={exam.index: exam.exam_id for exam in drawn},
        boxes={exam.index: exam.boxes for exam in drawn},
    )
    return len(masks)
