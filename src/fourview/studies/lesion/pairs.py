"""Views of one lesion put together: CC with MLO, by patient, exam, side and the set's number of the lesion."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from fourview.studies.lesion.cases import ANGLES, Angle, LesionKey, LesionView


@dataclass(frozen=True, eq=False)
class LesionPair:
    """One lesion with its views: usually a CC and an MLO, at times one of them, at times several of an angle.

    disputed  the set says another pathology of the same number in the other view: then each view is a lesion of its own
    """

    key: LesionKey
    views: tuple[LesionView, ...]
    disputed: bool = False

    @property
    def malignant(self) -> bool:
        return self.views[0].malignant

    @property
    def angles(self) -> tuple[Angle, ...]:
        """The angles that it has, CC first."""
        return tuple(angle for angle in ANGLES if any(view.angle == angle for view in self.views))

    @property
    def is_pair(self) -> bool:
        return len(self.angles) == len(ANGLES)


def pair_views(views: Sequence[LesionView]) -> tuple[LesionPair, ...]:
    """The lesions of these views, in the order of their keys.

    Where views of one lesion do not agree on its pathology, the number may stand for two lesions: views of each angle
    are one of their own, and both are disputed.
    """
    together: dict[LesionKey, list[LesionView]] = defaultdict(list)
    for view in views:
        together[view.key].append(view)
    pairs = []
    for key, own in sorted(together.items()):
        if len({view.malignant for view in own}) == 1:
            pairs.append(LesionPair(key, tuple(own), disputed=_is_half(key, own, together)))
            continue
        for angle in ANGLES:
            if of_angle := tuple(view for view in own if view.angle == angle):
                named = replace(key, lesion=f"{key.lesion}{_end(angle)}")
                pairs.append(LesionPair(named, of_angle, disputed=True))
    return tuple(pairs)


def _is_half(key: LesionKey, own: Sequence[LesionView], others: dict[LesionKey, list[LesionView]]) -> bool:
    """Whether an importer has named the views of a disputed lesion apart already, by the angle at the end."""
    angle = own[0].angle
    if not key.lesion.endswith(_end(angle)):
        return False
    other: Angle = "MLO" if angle == "CC" else "CC"
    return replace(key, lesion=key.lesion.removesuffix(_end(angle)) + _end(other)) in others


def _end(angle: Angle) -> str:
    return f"_{angle}"
