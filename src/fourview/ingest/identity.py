"""Pseudonyms: patient keys under the site's secret, and file names that name nobody."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import secrets
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

import platformdirs

from fourview.exam import SetupError

SECRET_VARIABLE = "FOURVIEW_SITE_SECRET"
SHORTEST_WORD = 3  # shorter parts of a patient's name or id occur in any file name


def patient_key(patient_id: str | None, secret: bytes | None = None) -> str | None:
    """16 hex digits of HMAC-SHA256(secret, patient id): the same woman has the same key at one site.

    secret  None: the site's secret (`site_secret`), which is looked up only where there is a patient id
    None where the patient is unknown (no id, or a blank one). Raises SetupError.
    """
    cleaned = (patient_id or "").strip()
    if not cleaned:
        return None
    key = site_secret() if secret is None else secret
    if not key:
        raise SetupError("the site secret is empty: need at least one byte")
    return hmac.new(key, cleaned.encode(), hashlib.sha256).hexdigest()[:16]


def site_secret() -> bytes:
    """The secret of this site: the environment's, else that of the configuration folder, made on first need.

    Raises SetupError if the secret is empty or cannot be read or written.
    """
    if (value := os.environ.get(SECRET_VARIABLE)) is not None:
        if not value:
            raise SetupError(f"{SECRET_VARIABLE} is set but empty: give it a value or unset it")
        return value.encode()
    path = Path(platformdirs.user_config_dir("fourview")) / "site_secret"
    try:
        if not path.exists():
            _write_secret(path)
        value = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SetupError(
            f"the site secret for patient keys cannot be read or written at {path} ({error}): "
            f"make that folder writable, or set {SECRET_VARIABLE}"
        ) from error
    if not value:
        raise SetupError(f"the site secret at {path} is empty: restore it, or delete it to get a new one")
    return value.encode()


def _write_secret(path: Path) -> None:
    """Puts a new secret at `path`, whole, readable by its owner only; the first of several writers wins."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(32) + "\n")
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)  # unlike a rename, a link never replaces another writer's secret
    finally:
        draft.unlink(missing_ok=True)


def telling_words(words: Iterable[str]) -> tuple[str, ...]:
    """The words that would name a patient in a file name: lower case, without those too short to tell."""
    stripped = (word.strip().lower() for word in words)
    return tuple(word for word in stripped if len(word) >= SHORTEST_WORD)


def redacted_name(name: str, words: Iterable[str]) -> str:
    """The file name, or a hash of it where it holds one of the words (telling_words), in any case."""
    held = [word for word in words if word in name.lower()]
    if not held:
        return name
    suffix = PurePosixPath(name).suffix
    if any(word in suffix.lower() for word in held):
        suffix = ""
    return f"file-{hashlib.sha256(name.encode(errors='replace')).hexdigest()[:8]}{suffix}"


def safe_name(name: str, patient_id: str | None) -> str:
    """The base name of a file, or a hash of it where it holds the patient's id."""
    return redacted_name(PurePosixPath(name).name, telling_words([patient_id or ""]))


def distinct_names(names: Iterable[str]) -> tuple[str, ...]:
    """The names in the same order, each once: the second "a.png" becomes "a~2.png"."""
    taken: set[str] = set()
    out = []
    for name in names:
        path, number, candidate = PurePosixPath(name), 1, name
        while candidate in taken:
            number += 1
            candidate = f"{path.stem}~{number}{path.suffix}"
        taken.add(candidate)
        out.append(candidate)
    return tuple(out)
