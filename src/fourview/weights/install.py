"""Install published weights: fetch the files of a zoo entry, turn them into folders in the weights home."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from fourview.exam import SetupError
from fourview.weights.convert import convert_file
from fourview.weights.download import Progress, fetch_files
from fourview.weights.home import CARD_NAME, weights_home
from fourview.weights.zoo import ZOO, ZooEntry


@dataclass(frozen=True)
class Installation:
    """What an installation left behind.

    folders  every weight folder of the entry, in the order of the table
    made     those that this call made; empty if all were there
    """

    folders: tuple[Path, ...]
    made: tuple[Path, ...]

    @property
    def message(self) -> str:
        """What happened, for the user."""
        if not self.made:
            return f"already installed: {', '.join(folder.name for folder in self.folders)}"
        return f"installed {', '.join(folder.name for folder in self.made)} in {self.made[0].parent}"


def install(
    entry_name: str,
    *,
    zoo: Mapping[str, ZooEntry] = ZOO,
    source: Path | None = None,
    home: Path | None = None,
    progress: Progress | None = None,
) -> Installation:
    """The weight folders of a zoo entry, made where they are missing; what is there is not touched.

    Files are fetched to HOME/.downloads/ENTRY, verified, converted in a hidden folder of HOME and moved to
    HOME/NAME at the end: a folder in HOME is whole or not there. Fetched files are removed after success;
    where a connection broke they stay, and the next call goes on from there.

    source    a folder that holds the published files, for computers without internet
    home      None: `weights_home()`
    progress  see `fetch_files`

    Raises SetupError if the entry is unknown, a file cannot be had or is not the published one, or HOME
    cannot be written.
    """
    entry = zoo.get(entry_name)
    if entry is None or not entry.folders:
        names = ", ".join(name for name, known in zoo.items() if known.folders) or "nothing"
        raise SetupError(f"weights install: found {entry_name!r}, which makes no weight folder; known: {names}")
    home = home or weights_home()
    missing = tuple(folder for folder in entry.folders if not _is_made(home / folder.name))
    if missing:
        needed = {name for folder in missing for name in folder.files}
        wanted = replace(entry, files=tuple(f for f in entry.files if f.name in needed), folders=missing)
        downloads = home / ".downloads" / entry.name
        fetch_files(wanted, downloads, source=source, progress=progress)
        try:
            _make_folders(wanted, files=downloads, home=home)
        except OSError as error:
            raise SetupError(
                f"weights {entry.name}: cannot write {error.filename or home}: {error.strerror or error}"
            ) from error
        _remove_downloads(downloads)
    return Installation(
        folders=tuple(home / folder.name for folder in entry.folders),
        made=tuple(home / folder.name for folder in missing),
    )


def _is_made(folder: Path) -> bool:
    if folder.exists() and not (folder / CARD_NAME).is_file():
        raise SetupError(f"{folder}: found a file or folder without {CARD_NAME}, need a weight folder or nothing there")
    return folder.exists()


def _make_folders(entry: ZooEntry, *, files: Path, home: Path) -> None:
    with tempfile.TemporaryDirectory(prefix=".making-", dir=home) as making:
        patches: dict[str, Path] = {}
        for folder in entry.folders:
            if folder.patch_file is not None and folder.patch_file not in patches:
                patches[folder.patch_file] = Path(making) / f"patch{len(patches)}"
                convert_file(
                    files / folder.patch_file,
                    kind="patch",
                    out=patches[folder.patch_file],
                    name=f"{entry.name}-patch",
                    licence=entry.licence,
                )
        for folder in entry.folders:
            convert_file(
                files / folder.file,
                kind=folder.kind,
                out=Path(making) / "made" / folder.name,
                name=folder.name,
                patch=None if folder.patch_file is None else patches[folder.patch_file],
                licence=entry.licence,
            )
        for folder in entry.folders:
            (Path(making) / "made" / folder.name).rename(home / folder.name)


def _remove_downloads(downloads: Path) -> None:
    shutil.rmtree(downloads, ignore_errors=True)
    with contextlib.suppress(OSError):  # other entries may still be on their way
        downloads.parent.rmdir()
