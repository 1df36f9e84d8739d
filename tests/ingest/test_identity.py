"""Patient keys need the site's secret; names name nobody."""

from __future__ import annotations

import hashlib
import hmac
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fourview.exam import SetupError
from fourview.ingest import identity
from fourview.ingest.identity import distinct_names, patient_key, safe_name, site_secret


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration folder of the test's own, and no secret in the environment."""
    monkeypatch.delenv(identity.SECRET_VARIABLE, raising=False)
    monkeypatch.setattr(identity.platformdirs, "user_config_dir", lambda name: str(tmp_path / "config" / name))
    return tmp_path / "config" / "fourview"


def test_a_patient_key_is_the_start_of_the_hmac_under_the_secret():
    expected = hmac.new(b"s", b"PID-1", hashlib.sha256).hexdigest()[:16]
    assert patient_key(" PID-1 ", b"s") == expected
    assert patient_key("PID-1", b"t") != expected


def test_an_unknown_patient_has_no_key_and_makes_no_secret(config: Path):
    assert patient_key(None) is None
    assert patient_key("  ") is None
    assert not config.exists()


def test_the_secret_is_made_once_and_readable_by_its_owner_only(config: Path):
    first = site_secret()
    assert site_secret() == first
    assert len(first) == 64
    assert stat.S_IMODE((config / "site_secret").stat().st_mode) == 0o600
    assert [path.name for path in config.iterdir()] == ["site_secret"]


def test_writers_at_the_same_time_agree_on_one_secret(config: Path):
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(lambda _: site_secret(), range(32)))) == 1


def test_the_environment_comes_before_the_file(config: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(identity.SECRET_VARIABLE, "from the environment")
    assert site_secret() == b"from the environment"
    assert not config.exists()


@pytest.mark.parametrize("where", ["environment", "file", "argument"])
def test_an_empty_secret_is_refused(where: str, config: Path, monkeypatch: pytest.MonkeyPatch):
    if where == "environment":
        monkeypatch.setenv(identity.SECRET_VARIABLE, "")
    elif where == "file":
        config.mkdir(parents=True)
        (config / "site_secret").write_text("")
    with pytest.raises(SetupError, match="empty"):
        patient_key("PID-1", b"" if where == "argument" else None)


def test_a_folder_that_cannot_be_written_is_a_set_up_error_that_says_what_to_do(config: Path):
    config.parent.mkdir(parents=True)
    config.write_text("a file where the folder should be")
    with pytest.raises(SetupError, match="or set FOURVIEW_SITE_SECRET"):
        site_secret()


def test_a_name_that_holds_the_patient_id_is_hashed():
    hidden = safe_name("folder/x_pid-1_L_CC.png", "PID-1")
    assert hidden.startswith("file-")
    assert hidden.endswith(".png")
    assert "pid" not in hidden
    assert safe_name("folder/1_L_CC.png", "PID-1") == "1_L_CC.png"
    assert safe_name("1_L_CC.png", "1") == "1_L_CC.png"  # too short an id says nothing


def test_equal_names_become_distinct_and_the_others_stay():
    assert distinct_names(["a.png", "b.png", "a.png", "a~2.png", "a.png"]) == (
        "a.png",
        "b.png",
        "a~2.png",
        "a~2~2.png",
        "a~3.png",
    )
