"""The record of one run: OUT/run.json, with versions, settings, decisions that were taken, and where time went."""

from __future__ import annotations

import json
import statistics
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fourview.exam import Reading
from fourview.memory import gpu_peak_memory_mb, peak_memory_mb
from fourview.report.reading_json import Settings, hash_settings
from fourview.report.versions import package_versions
from fourview.whole_files import write_whole

_MOST_DECISIONS = 500  # different ones: a million exams must not fill the memory


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass
class RunRecord:
    """What is known about a run so far. `write` may be called at any time.

    model         name, weights_hash, pixel_mode, unit, marks, device
    settings      what the readings depend on, besides the weights
    inputs        counts of what was found (and paths, only if the user asked for identifiers)
    files         what is written per exam: "all" or "readings"; "answers" of a classifier of features
    """

    model: Mapping[str, Any]
    settings: Settings
    inputs: Mapping[str, Any]
    files: str = "all"
    started: str = field(default_factory=_now)
    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    decisions: Counter[tuple[str, str, str]] = field(default_factory=Counter)

    def add(self, reading: Reading, more_seconds: Mapping[str, float]) -> None:
        """The decisions and the timings of one exam that was read."""
        self.add_seconds({**reading.seconds, **more_seconds})
        for image in reading.images:
            for decision in image.decisions:
                key = (decision.topic, decision.value, decision.source)
                if key not in self.decisions and len(self.decisions) >= _MOST_DECISIONS:
                    key = (decision.topic, "other values", decision.source)
                self.decisions[key] += 1

    def add_seconds(self, seconds: Mapping[str, float]) -> None:
        """The timings of one exam: stage -> s."""
        for stage, own in seconds.items():
            self.seconds[stage].append(float(own))

    def write(self, out: Path, *, status: str, counts: Mapping[str, int], wall_s: float) -> dict[str, Any]:
        """OUT/run.json, whole or not at all; and its content. Raises OSError.

        status  "running", "finished", "interrupted" or "stopped"
        counts  of exams: read, failed, already there, remaining
        """
        exams = counts.get("read", 0) + counts.get("failed", 0)
        record: dict[str, Any] = {
            "format": "fourview run 2",
            "status": status,
            "started": self.started,
            "written": _now(),
            "versions": package_versions(),
            "model": dict(self.model),
            "settings": dict(self.settings),
            "settings_hash": hash_settings(self.settings),
            "inputs": dict(self.inputs),
            "files": self.files,
            "exams": dict(counts),
            "wall_s": round(wall_s, 3),
            "exams_per_s": round(exams / wall_s, 4) if wall_s > 0 else None,
            "seconds": {stage: _summary(values) for stage, values in self.seconds.items()},
            "peak_memory_mb": {"process": round(peak_memory_mb(), 1), **gpu_peak_memory_mb()},
            "decisions": [
                {"topic": topic, "value": value, "source": source, "images": count}
                for (topic, value, source), count in self.decisions.most_common()
            ],
        }
        write_whole(out / "run.json", json.dumps(record, indent=1, allow_nan=False) + "\n")
        return record


def _summary(seconds: Sequence[float]) -> dict[str, float]:
    return {"sum": round(sum(seconds), 3), "median": round(statistics.median(seconds), 4)}
