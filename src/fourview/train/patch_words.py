"""Descriptors of lesions as a second thing that a patch network learns: which words there are, and the loss."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from fourview.exam import SetupError
from fourview.train.patch_index import PatchPool
from fourview.train.recipe_parts import LearnedWords

UNSAID = -2  # no word: unlike UNKNOWN, no target that is missing, since the loss is a mean over all patches
Words = Mapping[str, tuple[str, ...]]  # descriptor -> its words, in the order of their answers


def find_words(pool: PatchPool, learned: LearnedWords | None) -> dict[str, tuple[str, ...]]:
    """The words of each descriptor among the malignant and benign lesions of the pool; none without `learned`.

    Raises SetupError if one has fewer than two.
    """
    if learned is None:
        return {}
    regions = [region for image in pool.images for region in image.regions if region.role != "never"]
    found = {name: _sorted(region.words.get(name) for region in regions) for name in learned.descriptors}
    if few := [name for name, words in found.items() if len(words) < 2]:
        there = ", ".join(f"{name}: {' '.join(found[name]) or 'none'}" for name in few)
        raise SetupError(
            f"patches.words: found, among the lesions of the training part, the words {there}; need two or more of "
            "each descriptor that is learned: other patches.words.descriptors, or none"
        )
    return found


def code_of(word: str | None, *, of: tuple[str, ...]) -> int:
    """The place of a word among those that are known, or UNSAID."""
    return of.index(word) if word is not None and word in of else UNSAID


def words_loss(answers: Tensor, targets: Tensor, *, words: Words) -> Tensor:
    """The sum of the descriptors' cross-entropies, as a mean over all patches; where a word is not known it is 0.

    answers  (patches, all words) logits;  targets  (patches, descriptors) codes
    """
    total = answers.new_zeros(())
    for part, target in zip(
        torch.split(answers, [len(known) for known in words.values()], dim=1), targets.T, strict=True
    ):
        total = total + F.cross_entropy(part, target, ignore_index=UNSAID, reduction="sum") / len(answers)
    return total


def _sorted(words: Iterable[str | None]) -> tuple[str, ...]:
    return tuple(sorted({word for word in words if word}))
