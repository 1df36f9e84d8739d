"""Fixtures: the folder of shared data (tests that need it skip, saying so, where it is absent) and weights."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

settings.register_profile("ci", derandomize=True)  # a submission is judged on the same examples every time
if os.environ.get("CI"):
    settings.load_profile("ci")

_DEFAULT = Path(__file__).resolve().parents[2] / "shared"
SHARED = Path(os.environ.get("FOURVIEW_SHARED", _DEFAULT))


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object | None) -> None:
    """How a process of pytest-xdist ended that should not have: xdist itself does not say by which signal."""
    if error is not None:
        try:
            status = node.gateway._io.popen.wait(timeout=10)
        except subprocess.TimeoutExpired:
            status = "none: it is still there"
        sys.stderr.write(f"\n{node.gateway.id} ended with status {status} (below 0: by that signal)\n")


@pytest.fixture(autouse=True, scope="session")
def _site_secret() -> Iterator[None]:
    """Tests never touch the secret of the person who runs them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FOURVIEW_SITE_SECRET", "the secret of the tests")
        yield


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real images and upstream's recorded results; set FOURVIEW_SHARED to name another one."""
    if not (SHARED / "data").is_dir():
        pytest.skip(
            "no shared data beside the project: set FOURVIEW_SHARED to the folder that holds data/ and goldens/"
        )
    return SHARED


@pytest.fixture(scope="session")
def key_weights(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The five files of the upstream release, in upstream's format, with reproducible untrained values."""
    out = tmp_path_factory.mktemp("upstream_release")
    subprocess.run(
        [sys.executable, str(shared / "goldens/make_key_weights.py"), str(out)], check=True, capture_output=True
    )
    return out
