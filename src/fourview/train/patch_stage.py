"""The patch stage: a DenseNet that tells malignant, benign, outside and negative patches. Method: Wu et al. 2019."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import polars as pl
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from fourview.evaluate.roc import auc
from fourview.exam import FINDINGS, SetupError
from fourview.train.crop_pixels import CropPixels, fits_in_memory
from fourview.train.crops import reading_card, seen_input
from fourview.train.data import OnStep, TrainingData
from fourview.train.initialise import draw_initial
from fourview.train.patch_index import index_part
from fourview.train.patch_sampling import PatchSource, draw_patch, plan_epoch
from fourview.train.patch_words import Words, code_of, find_words, words_loss
from fourview.train.recipe import CLASSES, Recipe
from fourview.train.stage import VALIDATION, Batch, Judgement, Key, Sample, open_stream
from fourview.weights.card import Card, Metric, Training
from fourview.weights.folder import build_patch

INPUT = "patch"
_PLAN, _PATCH = 11, 12  # random streams: of an epoch's plan, of a patch
_PICTURES = 4  # of each class


class PatchStage:
    """What the training loop asks of the patch stage (train.stage.Stage)."""

    def __init__(
        self,
        recipe: Recipe,
        data: TrainingData,
        *,
        network: nn.Module,
        sources: Mapping[str, PatchSource],
        words: Words,
    ) -> None:
        """See `open`. sources: of the parts "train" and, if it is judged, "validation"; alike but for grey;
        words: that are learned, see find_words
        """
        self.recipe = recipe
        self.network = network
        self._data = data
        self._sources = sources
        self._words = words
        self.notes: tuple[str, ...] = ()
        self._sampling = sources["train"].sampling

    @classmethod
    def open(
        cls, recipe: Recipe, data: TrainingData, *, jobs: int = 1, on_step: OnStep = lambda what, done, total: None
    ) -> PatchStage:
        """The stage, after a walk through all images of its parts. Raises SetupError, ExamError, and what on_step does.

        on_step  what is done, items done, items in all
        """
        patch, sampling = recipe.patch, recipe.patches
        if patch is None or sampling is None:
            raise SetupError(f"recipe {recipe.name}: found no sections patch and patches, need both")
        card = reading_card(recipe)
        sources = {}
        for part in ("train", "validation") if recipe.is_judged else ("train",):
            pool = index_part(
                data.store,
                data.table,
                part,
                recipe=recipe,
                card=card,
                jobs=jobs,
                on_image=partial(on_step, f"looking at images of {part}"),
            )
            most = recipe.loop.kept_mb * 10**6
            whole = sampling.per_visit > 1 or fits_in_memory(pool, most)
            pixels = CropPixels(data.store, spacing_mm=card.input.spacing_mm, whole=whole, most_bytes=most)
            drawn = sampling if part == "train" else sampling.model_copy(update={"grey": None})
            sources[part] = PatchSource(pool, drawn, patch.side_px, pixels)
        words = find_words(sources["train"].pool, sampling.words)
        network = build_patch(patch, more=sum(map(len, words.values())))
        draw_initial(network, recipe.seed)
        return cls(recipe, data, network=network, sources=sources, words=words)

    def epoch(self, number: int) -> Sequence[Key]:
        """The patches of an epoch: exactly the recipe's mix, in random order."""
        return self._plan("train", number, self._sampling.per_epoch)

    def validation(self) -> Sequence[Key]:
        """The patches that are judged: the same mix, and the same patches every time."""
        if not self.recipe.is_judged:
            return ()
        return self._plan("validation", VALIDATION, self._sampling.validation)

    def load(self, key: Key) -> Sample:
        """One patch, whatever was drawn before. Raises ExamError if its file is broken."""
        source = self._sources["validation" if key.epoch == VALIDATION else "train"]
        rng = open_stream(self.recipe.seed, _PATCH, key.epoch, key.place)
        patch = draw_patch(source, key.kind, case=key.case, rng=rng)
        said = [code_of(patch.words.get(name), of=known) for name, known in self._words.items()]
        return Sample(patch.image, {INPUT: patch.pixels[None]}, np.array([CLASSES.index(key.kind), *said], np.int64))

    def loss(self, network: nn.Module, batch: Batch) -> Tensor:
        """The mean cross-entropy of the four classes; with words, more, as patches.words says."""
        answers = network(batch.inputs[INPUT])
        loss = F.cross_entropy(answers[:, : len(CLASSES)], batch.targets[:, 0])
        return (
            loss
            if self._sampling.words is None
            else loss
            + self._sampling.words.weight
            * words_loss(answers[:, len(CLASSES) :], batch.targets[:, 1:], words=self._words)
        )

    def answer(self, network: nn.Module, batch: Batch) -> Tensor:
        """(patches, 4) float32: the probability of each class, in the order of recipe.CLASSES."""
        return torch.softmax(network(batch.inputs[INPUT])[:, : len(CLASSES)].float(), dim=1)

    def kept(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Without the rows of words."""
        return {
            name: tensor[: len(CLASSES)] if name.startswith("classifier.") else tensor
            for name, tensor in tensors.items()
        }

    def judge(self, names: Sequence[str], answers: NDArray[np.float32], targets: NDArray[np.int64]) -> Judgement:
        """AUC of each class against the others, and the confusion in counts ("malignant_as_benign": 3).

        The score is the mean AUC of the two findings. Raises SetupError if a finding has no patch.
        """
        truth = targets[:, 0]
        there = [(code, name) for code, name in enumerate(CLASSES) if name in FINDINGS or (truth == code).any()]
        metrics = {f"auc_{name}": auc(truth == code, answers[:, code], unit="patch").value for code, name in there}
        p_true = answers[np.arange(len(truth)), truth].astype(np.float64)
        metrics["validation_loss"] = float(-np.log(np.maximum(p_true, 1e-12)).mean())
        said = answers.argmax(axis=1)
        for code, name in enumerate(CLASSES):
            metrics[f"n_{name}"] = float((truth == code).sum())
            for other, called in enumerate(CLASSES):
                metrics[f"{name}_as_{called}"] = float(((truth == code) & (said == other)).sum())
        table = pl.DataFrame(
            {
                "image": list(names),
                "class": [CLASSES[code] for code in truth],
                "said": [CLASSES[code] for code in said],
                **{f"p_{name}": answers[:, code].astype(np.float64) for code, name in enumerate(CLASSES)},
            }
        )
        return Judgement(float(np.mean([metrics[f"auc_{name}"] for name in FINDINGS])), metrics, table)

    def card(self, *, name: str, judgement: Judgement | None, data: str) -> Card:
        """Of weights that make heatmaps; its metrics are of validation patches, with intervals over women."""
        training = Training(
            trained=True,
            data=data,
            terms=str(self._data.store.about.get("terms", "")),
            phantoms_only=self._data.phantoms_only,
            recipe=self.recipe.name,
            stage="patch",
            seed=self.recipe.seed,
            recipe_sha256=self.recipe.hash,
            data_sha256=self._data.hash,
        )
        card = reading_card(self.recipe)
        seen = seen_input(self.recipe, self._data.rows("train"))
        metrics = () if judgement is None or not len(judgement.table) else self._measure(judgement)
        return card.model_copy(update={"name": name, "input": seen, "training": training, "metrics": metrics})

    def pictures(self) -> Sequence[Sample]:
        """The first patches of each class in the first epoch; the name says the class."""
        chosen: dict[str, list[Key]] = {name: [] for name in CLASSES}
        for key in self.epoch(0):
            if len(chosen[key.kind]) < _PICTURES:
                chosen[key.kind].append(key)
        samples = [(name, self.load(key)) for name, keys in chosen.items() for key in keys]
        return [replace(sample, name=f"{name}: {sample.name}") for name, sample in samples]

    def _measure(self, judgement: Judgement) -> tuple[Metric, ...]:
        """AUC of each class against the others, for a card."""
        table = judgement.table.join(self._data.table.select("image", "patient"), on="image", how="left")
        metrics = []
        for name in table["class"].unique(maintain_order=True).sort():
            truth = (table["class"] == name).to_numpy()
            found = auc(truth, table[f"p_{name}"].to_numpy(), cluster=table["patient"].to_list(), unit="patch")
            interval = None if math.isnan(found.low) else (found.low, found.high)
            metrics.append(
                Metric(
                    name=f"AUC, {name} patches against others",
                    value=found.value,
                    interval_95=interval,
                    unit="patch",
                    n=found.n,
                    positives=int(truth.sum()),
                    population=f"validation part of {self._data.name}, in the recipe's mix",
                )
            )
        return tuple(metrics)

    def _plan(self, part: str, epoch: int, patches: int) -> list[Key]:
        rng = open_stream(self.recipe.seed, _PLAN, epoch)
        plan = plan_epoch(self._sources[part].pool, self._sampling, patches, rng=rng)
        return [Key(epoch, place, case, kind) for place, (kind, case) in enumerate(plan)]
