"""mini-MIAS: 322 digitised films of 161 women, all MLO, with a circle around each abnormality (Suckling et al. 1994).

Info.txt counts y from the bottom of the film; here it becomes a row from the top. One line is one abnormality, so a
film has several lines where it has several. Even numbers are left films, odd ones right films, and two in a row are
one woman.
"""

from __future__ import annotations

import re
from pathlib import Path

from fourview.datasets.reading import load_record
from fourview.datasets.record import Circle, Dataset, ImageRecord, Lesion, LesionKind, Listing, Pathology
from fourview.datasets.tables import files_below, find_one
from fourview.exam import ExamError, Mammogram, SetupError, Side

_NAME = "mini-mias"
_SIDE_PX = 1024
_SPACING_MM = 0.2  # "reduced to 200 micron pixel edge"
_FILM = re.compile(r"mdb(\d{3})", re.IGNORECASE)
_LINE = re.compile(
    r"(?P<film>mdb\d{3})\s+(?P<tissue>[FGD])\s+"
    r"(?:(?P<normal>NORM)|(?P<kind>CALC|CIRC|SPIC|MISC|ARCH|ASYM)\s+(?P<severity>[BM]))"
    r"(?:\s+(?P<x>\d+)\s+(?P<y>\d+)\s+(?P<radius>\d+)|\s+\*NOTE\s*3\*?)?"
)
_MIRRORED = (
    "the lead letters on the films are mirror-written and name the other side than Info.txt (L on odd films): sides "
    "here are those of Info.txt, and the films are mirror images"
)
_KINDS: dict[str, LesionKind] = {
    "CALC": "calcification",
    "CIRC": "mass",
    "SPIC": "mass",
    "MISC": "mass",
    "ARCH": "distortion",
    "ASYM": "asymmetry",
}
_PATHOLOGIES: dict[str, Pathology] = {"B": "benign", "M": "malignant"}


def find_mini_mias(root: Path) -> Listing:
    """The films of a folder with Info.txt and mdbNNN.pgm (or lossless .png copies) beside it or in a folder.

    Films without a line and lines without a film are problems. An abnormality that is spread over the film (*NOTE 3*)
    has no region. Severity is biopsy-based; of normal films the source is not said ("unknown").
    """
    info = find_one(root, "Info.txt", need="the list of films that comes with mini-MIAS")
    lines, problems = _read_info(info)
    if not lines:
        raise SetupError(f"{info.name}: no line for any film (mdb001 G CIRC B 535 425 197), need the list of mini-MIAS")
    films: dict[str, Path] = {}
    for path in files_below(root, ".pgm", ".png"):
        if not _FILM.fullmatch(path.stem):
            problems.append((path.name, "no film of mini-MIAS: need mdbNNN"))
        elif (first := films.setdefault(path.stem.lower(), path)) != path:
            problems.append((path.name, f"a second copy of {first.name}"))
    if not films:
        raise SetupError(f"{info.name} lists {len(lines)} films, but no mdbNNN.pgm or .png lies in {root.name}")
    problems += [(film, "in Info.txt, but its image is not there") for film in sorted(lines.keys() - films.keys())]
    said = {name for name, _ in problems}
    problems += [(films[film].name, "no line in Info.txt") for film in sorted(films.keys() - lines.keys() - said)]
    records = []
    for film in sorted(lines.keys() & films.keys()):
        try:
            records.append(_record(film, films[film], lines[film]))
        except ExamError as error:
            problems.append((films[film].name, str(error)))
    return Listing(tuple(records), tuple(problems), (_MIRRORED,))


def _read_info(path: Path) -> tuple[dict[str, list[re.Match[str]]], list[tuple[str, str]]]:
    """film -> its lines, in their order, each different one once; and the lines that say something else."""
    lines: dict[str, list[re.Match[str]]] = {}
    problems = []
    for line in path.read_text(encoding="latin-1").splitlines():
        if not _FILM.match(line):
            continue
        match = _LINE.fullmatch(line.strip())
        if match is None:
            problems.append((line[:6].lower(), f"its line in {path.name} cannot be understood: {line.strip()!r}"))
        elif all(match[0] != other[0] for other in lines.setdefault(match["film"].lower(), [])):
            lines[match["film"].lower()].append(match)
    for film, _ in problems:
        lines.pop(film, None)
    return lines, problems


def _record(film: str, path: Path, lines: list[re.Match[str]]) -> ImageRecord:
    normal = [line["normal"] is not None for line in lines]
    tissues = {line["tissue"] for line in lines}
    if len(set(normal)) > 1 or len(tissues) > 1:
        raise ExamError(f"its lines contradict each other: {'; '.join(line[0] for line in lines)}")
    lesions = tuple(
        _lesion(f"{film}-{number}", line) for number, line in enumerate(lines, start=1) if line["normal"] is None
    )
    number = int(film[3:])
    pair = f"{(number + 1) // 2:03d}"
    return ImageRecord(
        _NAME,
        patient=pair,
        exam=pair,
        image=film,
        path=path,
        side=Side.LEFT if number % 2 == 0 else Side.RIGHT,
        angle="MLO",
        malignant=any(lesion.pathology == "malignant" for lesion in lesions),
        benign=any(lesion.pathology == "benign" for lesion in lesions),
        label_unit="image",
        label_source="biopsy" if lesions else "unknown",
        spacing_mm=_SPACING_MM,
        lesions=lesions,
        more={"tissue": tissues.pop()},
    )


def _lesion(name: str, line: re.Match[str]) -> Lesion:
    region = None
    if line["x"] is not None:
        row, col = _SIDE_PX - 1 - int(line["y"]), int(line["x"])
        if not (0 <= row < _SIDE_PX and col < _SIDE_PX):
            raise ExamError(f"the circle of {line[0]!r} has its centre outside of the film")
        region = Circle(row, col, int(line["radius"]))
    return Lesion(
        name,
        _KINDS[line["kind"]],
        pathology=_PATHOLOGIES[line["severity"]],
        region=region,
        descriptors={"class": line["kind"]},
    )


def load_mini_mias(record: ImageRecord) -> Mammogram:
    """The breast of the film, 1024 x 1024; another size is no film of this set: its circles would lie elsewhere."""
    mammogram = load_record(record, film=True)
    if mammogram.pixels.shape != (_SIDE_PX, _SIDE_PX):
        raise ExamError(f"{record.view} {record.image}: found {mammogram.pixels.shape} pixels, need 1024 x 1024")
    return mammogram


DATASET = Dataset(
    name=_NAME,
    title="mini-MIAS, films of the Mammographic Image Analysis Society at 200 um",
    has="322 MLO films of 161 women; benign, malignant or normal; a circle per abnormality; three kinds of tissue",
    terms="research only, no redistribution (Licence.txt of the set)",
    source="Suckling et al. 1994; http://peipa.essex.ac.uk/info/mias.html: unpack all-mias.tar.gz into one folder",
    read_here="242 of the 322 films with their lines",
    find=find_mini_mias,
    load=load_mini_mias,
)
