"""The versions of everything that numbers may depend on."""

from __future__ import annotations

import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version

PACKAGES = (
    "fourview",
    "numpy",
    "scipy",
    "scikit-learn",
    "imbalanced-learn",
    "h5py",
    "joblib",
    "matplotlib",
    "jinja2",
    "torch",
    "openvino",
    "opencv-python-headless",
    "pydicom",
    "python-gdcm",
    "pyjpegls",
    "pylibjpeg",
    "pylibjpeg-openjpeg",
    "polars",
    "pydantic",
    "safetensors",
)


@cache
def package_versions() -> dict[str, str]:
    """The versions of Python and of every package that numbers may depend on."""
    versions = {"python": platform.python_version(), "platform": f"{platform.system()} {platform.machine()}"}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    return versions
