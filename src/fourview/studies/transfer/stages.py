"""The stages from `as_published` to a number that holds: which leaks are open, and what each of them lets through."""

from __future__ import annotations

from dataclasses import dataclass

from fourview.exam import SetupError

AS_PUBLISHED, RIGOROUS = "as_published", "rigorous"
_CLOSES = ("smote_in_fold", "selection_in_fold", "grouped")
LEAKS = {
    "smote_in_fold": (
        "SMOTE: synthetic positives are made before the split, so test positives are mixtures of images that may lie "
        "in training, and training holds mixtures of test images"
    ),
    "selection_in_fold": "selection: the features are selected with the labels of the test images",
    "grouped": "patient: images of one patient lie in training and in test",
}


@dataclass(frozen=True)
class Stage:
    """The published protocol with some of its leaks closed.

    smote  False: without SMOTE there is nothing of it to leak
    """

    smote_in_fold: bool = False
    selection_in_fold: bool = False
    grouped: bool = False
    smote: bool = True

    @property
    def name(self) -> str:
        """As `--protocol` takes it."""
        closed = [name for name in _CLOSES if getattr(self, name)]
        return "".join(f"+{name}" for name in closed) or AS_PUBLISHED

    @property
    def leaks(self) -> tuple[str, ...]:
        """Those that are open, in words."""
        open_ones = [name for name in _CLOSES if not getattr(self, name)]
        return tuple(LEAKS[name] for name in open_ones if self.smote or name != "smote_in_fold")

    @property
    def banner(self) -> str:
        """LEAKS: SMOTE, selection, patient."""
        names = ", ".join(leak.partition(":")[0] for leak in self.leaks)
        return f"LEAKS: {names}" if names else "no known leak; not nested: defaults, a threshold that nobody chose"


def parse_protocol(text: str, *, smote: bool = True) -> Stage | None:
    """The stage that `--protocol` names; None: rigorous. "+grouped+smote_in_fold" closes two leaks.

    Raises SetupError for a name that is none.
    """
    if text == RIGOROUS:
        return None
    if text == AS_PUBLISHED:
        return Stage(smote=smote)
    first, *closed = text.split("+")
    if first or not closed or set(closed) - set(_CLOSES):
        parts = ", ".join(f"+{name}" for name in _CLOSES)
        raise SetupError(f"--protocol: found {text!r}; need {RIGOROUS}, {AS_PUBLISHED}, or some of {parts} in one word")
    return Stage(**dict.fromkeys(closed, True), smote=smote)


def climb(*, smote: bool = True) -> tuple[Stage, ...]:
    """The ladder: one leak after the other is closed. The rigorous run is the step after the last."""
    first = (Stage(),) if smote else ()
    closed = (Stage(smote, smote=smote), Stage(smote, True, smote=smote), Stage(smote, True, True, smote=smote))
    return (*first, *closed)


def open_one(*, smote: bool = True) -> tuple[Stage, ...]:
    """The stages with a single leak open: what each is worth alone."""
    alone = (Stage(smote, False, True, smote=smote), Stage(smote, True, False, smote=smote))
    return (Stage(False, True, True), *alone) if smote else alone
