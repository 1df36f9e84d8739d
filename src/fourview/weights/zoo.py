"""The table of published weights: which files, from where, under which terms, and what is made of them.

A new entry is one `ZooEntry` and one line in `ZOO`. `weights.download` fetches the files, `weights.install`
turns them into weight folders, `weights.home` says where those live.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from fourview.exam import SetupError

Kind = Literal["patch", "view-wise", "image-wise", "single-image"]


@dataclass(frozen=True)
class ZooFile:
    """One published file.

    name         what it is called on disk
    url          http or https
    git_blob_id  40 hex digits: the id that git gives the content, SHA-1 over b"blob SIZE\\0" + bytes

    Raises SetupError if one of them is not of that form.
    """

    name: str
    url: str
    git_blob_id: str

    def __post_init__(self) -> None:
        _check_plain_name(self.name, what="weights file")
        if not re.match(r"https?://[^/]+/", self.url):
            raise SetupError(f"{self.name}: found the address {self.url!r}, need http:// or https:// with a host")
        if not re.fullmatch(r"[0-9a-f]{40}", self.git_blob_id):
            raise SetupError(f"{self.name}: found the git blob id {self.git_blob_id!r}, need 40 hex digits")


@dataclass(frozen=True)
class ZooFolder:
    """One weight folder that is made of the files of an entry.

    name        the folder's name, which is also what the user types after `--weights`
    file        the file that holds the network; kind says how it is wired
    patch_file  the file with the patch network, bundled into the folder; None for a network without heatmaps
    """

    name: str
    file: str
    kind: Kind
    patch_file: str | None = None

    def __post_init__(self) -> None:
        _check_plain_name(self.name, what="weight folder")

    @property
    def files(self) -> tuple[str, ...]:
        """The names of the files that this folder is made of."""
        return (self.file,) if self.patch_file is None else (self.file, self.patch_file)


@dataclass(frozen=True)
class ZooEntry:
    """Files that are published together, and what to tell the user before they are fetched.

    licence  SPDX identifier of the licence that the publisher states
    terms    what it means for the user, in plain words
    source   where the files come from: publisher, commit, paper
    folders  the weight folders that `weights.install` makes of the files, as `weights.convert` does it: for files
             of the upstream release, whose training it writes into the card

    Raises SetupError if two files share a name or a folder needs a file that is not in the entry.
    """

    name: str
    files: tuple[ZooFile, ...]
    licence: str
    terms: str
    source: str
    folders: tuple[ZooFolder, ...] = ()

    def __post_init__(self) -> None:
        _check_plain_name(self.name, what="zoo entry")
        names = [file.name for file in self.files]
        if len(set(names)) != len(names):
            raise SetupError(f"zoo entry {self.name}: found the file names {', '.join(names)}, need each only once")
        for folder in self.folders:
            for name in folder.files:
                if name not in names:
                    raise SetupError(f"zoo entry {self.name}: folder {folder.name} needs {name}, which is not listed")


def known_folders(zoo: Mapping[str, ZooEntry]) -> dict[str, str]:
    """Every weight folder that can be installed, with the name of the entry that `weights install` takes."""
    return {folder.name: entry.name for entry in zoo.values() for folder in entry.folders}


def _check_plain_name(name: str, *, what: str) -> None:
    # Names become paths below the weights home; a separator or a leading dot would lead out of it or hide it.
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*", name):
        raise SetupError(f"{what}: found the name {name!r}, need letters, digits, dots, dashes and underscores")


_NYU_COMMIT = "6176ebea6950b0a953339593d2da417ab846dae0"
_NYU_RAW = f"https://raw.githubusercontent.com/nyukat/breast_cancer_classifier/{_NYU_COMMIT}/models"
_NYU_BLOBS = {
    "sample_patch_model.p": "44ce52382562085dcd5becde74fff087b2f31cd4",
    "sample_image_model.p": "286ec862ac532d27d3d63ba77ed3a46b9705f53c",
    "sample_imageheatmaps_model.p": "312ea110370017eaf9b2ddeb7571d2f99bcfd4d1",
    "ImageOnly__ModeImage_weights.p": "a903386d93ace753f57e12320b4a2681329f0310",
    "ImageHeatmaps__ModeImage_weights.p": "75c1717238e281d6d59084c45bfe1abd85751eb5",
}

NYU = ZooEntry(
    name="nyu",
    files=tuple(ZooFile(name, f"{_NYU_RAW}/{name}", blob) for name, blob in _NYU_BLOBS.items()),
    licence="AGPL-3.0",
    terms=(
        "The publisher, New York University, places its whole repository, these weights included, under the "
        "GNU Affero General Public License 3.0. fourview (Apache-2.0) does not ship them: they are fetched "
        "from the publisher to this computer because you ask for it. You may use them and change them here. "
        "If you pass on the files, or anything made from them (converted folders, networks trained further from "
        "them), or let others use a changed version over a network, do so under the same licence and offer "
        "the corresponding source. They are for research and not a medical device. This is a summary, not "
        "legal advice; the licence itself: https://www.gnu.org/licenses/agpl-3.0.html"
    ),
    source=(
        f"https://github.com/nyukat/breast_cancer_classifier, models/, commit {_NYU_COMMIT}; Wu et al. 2019, "
        "Deep Neural Networks Improve Radiologists' Performance in Breast Cancer Screening, arXiv:1903.08297"
    ),
    folders=(
        ZooFolder("nyu", "sample_imageheatmaps_model.p", "view-wise", "sample_patch_model.p"),
        ZooFolder("nyu-image", "sample_image_model.p", "view-wise"),
        ZooFolder("nyu-imagewise", "ImageHeatmaps__ModeImage_weights.p", "image-wise", "sample_patch_model.p"),
        ZooFolder("nyu-imagewise-image", "ImageOnly__ModeImage_weights.p", "image-wise"),
    ),
)

ZOO: dict[str, ZooEntry] = {"nyu": NYU}
