"""A study of frozen features: what it compares, and which pieces it takes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from fourview.exam import SetupError
from fourview.studies.transfer.candidates import Candidate, find_obstacle
from fourview.studies.transfer.cases import Cases, make_cases
from fourview.studies.transfer.controls import Floats, density_features, view_features
from fourview.studies.transfer.feature_set import FeatureCard, FeatureSet
from fourview.studies.transfer.labels import Labels
from fourview.studies.transfer.pieces import FORMAT, Altered, Task
from fourview.studies.transfer.published import PUBLISHED, default_kept
from fourview.studies.transfer.stages import Stage, climb, open_one
from fourview.studies.transfer.steps import Method

CONTROLS: dict[str, str] = {
    "permuted": "labels permuted by patient",
    "noise": "noise features",
    "majority": "majority class",
    "density": "density alone",
    "view": "view and side alone",
}


@dataclass(frozen=True)
class Plan:
    """What a study does.

    stage    asked for beside the rigorous run; None: that alone
    kept     features that the published selection keeps; None: as many as the paper did of such features
    """

    methods: tuple[Method, ...]
    stage: Stage | None = None
    folds: int = 5
    inner: int = 5
    repeats: int = 5
    seed: int = 0
    kept: int | None = None
    controls: bool = True

    def __post_init__(self) -> None:
        for what, number, least in (
            ("--repeats", self.repeats, 1),
            ("--folds", self.folds, 2),
            ("inner", self.inner, 2),
        ):
            if number < least:
                raise SetupError(f"{what}: found {number}; need at least {least}")
        if not self.methods or len({m.classifier for m in self.methods}) < len(self.methods):
            raise SetupError("--classifier: found one twice, or none; need each once")
        if self.stage is not None and (other := [m for m in self.methods if m.classifier not in PUBLISHED]):
            raise SetupError(
                f"--classifier: found {', '.join(m.classifier for m in other)} with the published protocol; need "
                f"{', '.join(PUBLISHED)}"
            )


@dataclass(frozen=True, eq=False)
class Study:
    """Feature sets of the same images, their truth, and the plan.

    sets   name -> (images, features) float64;  cards  name -> where they come from
    first  the first set, for what it says about its images;  kept  name -> features that the published selection keeps
    """

    sets: Mapping[str, Floats]
    cards: Mapping[str, FeatureCard]
    first: FeatureSet
    cases: Cases
    labels: Labels
    plan: Plan
    kept: Mapping[str, int]

    @property
    def settings(self) -> dict[str, Any]:
        """What every piece depends on."""
        digests = {name: hashlib.sha256(values.tobytes()).hexdigest()[:16] for name, values in self.sets.items()}
        truth = np.concatenate([self.cases.y, self.cases.patients, self.cases.breasts])
        plan = asdict(self.plan) | {"stage": None, "repeats": None, "controls": None}  # more of these: more pieces
        plan["methods"] = [asdict(method) for method in self.plan.methods]
        return {
            "format": FORMAT,
            "features": digests,
            "truth": hashlib.sha256(truth.tobytes()).hexdigest()[:16],
            "kept": dict(self.kept),
            "plan": plan,
        }

    def tasks(self) -> list[Task]:
        """Every piece, the rigorous ones first."""
        repeats = range(self.plan.repeats)
        sets, methods = self.sets, self.plan.methods
        found = [self.task(name, method, repeat) for name in sets for method in methods for repeat in repeats]
        if self.plan.stage is not None:
            asked = self.plan.stage
            found += [self.task(n, m, r, stage=asked) for n in sets for m in methods for r in repeats]
            name, method = self.leading
            ladder = dict.fromkeys((*climb(smote=asked.smote), *open_one(smote=asked.smote)))
            more = [stage for stage in ladder if stage != asked]
            found += [self.task(name, method, r, stage=s) for s in more for r in repeats]
            found += [
                self.task(name, method, r, stage=s, altered="noise") for s in climb(smote=asked.smote) for r in repeats
            ]
        for control in self.controls:
            found += [self.control(control, repeat) for repeat in repeats]
        if len(self.candidates) > 1:
            found += [self.whole(candidate) for candidate in self.candidates]
        return found

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """What `fourview screen` could read, in the order named: feature sets, classifiers of each."""
        pairs = (Candidate(name, method) for name in self.sets for method in self.plan.methods)
        return tuple(pair for pair in pairs if find_obstacle(self.cards[pair.features], pair.method) is None)

    def whole(self, candidate: Candidate) -> Task:
        """How well the inner folds of all images speak of it."""
        return replace(self.task(candidate.features, candidate.method, 0), whole=True)

    @property
    def leading(self) -> tuple[str, Method]:
        """The feature set and the classifier that were named first: the ladder's and the controls'."""
        return next(iter(self.sets)), self.plan.methods[0]

    @property
    def controls(self) -> tuple[str, ...]:
        """Those that can be done here."""
        if not self.plan.controls:
            return ("noise",) if self.plan.stage is not None else ()
        return tuple(
            name for name in CONTROLS if name in ("permuted", "noise", "majority") or self._alone(name) is not None
        )

    def _alone(self, control: str) -> Floats | None:
        return density_features(self.first) if control == "density" else view_features(self.first)

    def control(self, control: str, repeat: int) -> Task:
        """A repeat of a control (see CONTROLS), with the leading classifier."""
        name, method = self.leading
        if control in ("permuted", "noise"):
            altered: Altered = "permuted" if control == "permuted" else "noise"
            return self.task(name, method, repeat, altered=altered)
        alone = None if control == "majority" else self._alone(control)
        plain = Method("majority" if control == "majority" else "lr", selection="none", value=1.0)
        return self.task(f"control_{control}", plain, repeat, values=self.sets[name] if alone is None else alone)

    def task(
        self,
        name: str,
        method: Method,
        repeat: int,
        *,
        stage: Stage | None = None,
        altered: Altered = "",
        values: Floats | None = None,
    ) -> Task:
        """A piece. values: in place of the feature set's."""
        plan = self.plan
        own = self.sets[name] if values is None else values
        kept = self.kept.get(name, 1)
        return Task(name, own, self.cases, method, repeat, plan.seed, stage, altered, kept, plan.folds, plan.inner)


def open_study(sets: Mapping[str, FeatureSet], labels: Labels, plan: Plan) -> Study:
    """The feature sets side by side, images in the first one's order. Raises SetupError if their images differ."""
    (name, first), *others = sets.items()
    order = first.rows["image"].to_list()
    values = {name: first.values}
    for other, features in others:
        place = {image: row for row, image in enumerate(features.rows["image"].to_list())}
        if place.keys() != set(order):
            raise SetupError(
                f"features: found {len(place.keys() ^ set(order))} images in only one of {name} and {other}; need the "
                "same images in all"
            )
        values[other] = features.values[[place[image] for image in order]]
    kept = {
        n: min(plan.kept or default_kept(sets[n].card.extractor, v.shape[1]), v.shape[1]) for n, v in values.items()
    }
    doubles = {n: v[labels.keep].astype(np.float64) for n, v in values.items()}
    cards = {n: features.card for n, features in sets.items()}
    return Study(doubles, cards, first.take(labels.keep), make_cases(first, labels), labels, plan, kept)
