"""The command line of the phantoms' benchmarks: measure and store, or show what is stored."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fourview.whole_files import write_whole


def make_parser(module: str, description: str, *, seed: int | None, jobs: int | None) -> argparse.ArgumentParser:
    """The options that these benchmarks have in common. seed, jobs  defaults; None: without that option"""
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{module}", description=description)
    if seed is not None:
        parser.add_argument("--seed", type=int, default=seed)
    if jobs is not None:
        parser.add_argument("--jobs", type=int, default=jobs, help="processes")
    parser.add_argument("--out", type=Path, help="JSON to write")
    parser.add_argument("--show", action="store_true", help="only print the stored result")
    return parser


def find_result(
    given: argparse.Namespace, module: str, stored: Path, measure: Callable[[], dict[str, Any]]
) -> dict[str, Any]:
    """What is stored (--show), or what was measured now with its command, written where --out says."""
    if given.show:
        found: dict[str, Any] = json.loads(stored.read_text())
        return found
    result = {"command": tell_command(module), **measure()}
    if given.out is not None:
        write_whole(given.out, json.dumps(result, indent=1) + "\n")
    return result


def tell_command(module: str) -> str:
    """The command that was given, without where it wrote."""
    words = iter(sys.argv[1:])
    kept = []
    for word in words:
        if word in ("--out", "--cache"):
            next(words)
        else:
            kept.append(word)
    return shlex.join(["python", "-m", f"benchmarks.{module}", *kept])
