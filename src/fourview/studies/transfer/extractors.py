"""The extractors by name: what each makes of an image, in words. Torch-free; `open_extractor` opens one.

Names end in how many numbers they give with networks of the published width; narrower ones give fewer. What the paper
used: nyu_flat4096 ("NYU L-CC"), nyu_avg_flat4096 ("NYU Avg") and imagenet_resnet50_2048.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from fourview.exam import SetupError

Needs = Literal["exam network", "patch network", "ImageNet network", "nothing"]
Layer = Literal["gap", "flat", "fc1"]
Trunk = Literal["one", "avg", "matched"]

_TRUNKS: dict[Trunk, str] = {
    "one": "by one view's network for all images, L-CC's unless --view names another",
    "avg": "the mean over the networks of all views",
    "matched": "by the network of the image's own view",
}
_LAYERS: dict[Layer, str] = {
    "gap": "last map averaged over all positions, image at its own size",
    "flat": "last map position by position (4 x 4), image shrunk to a small square",
    "fc1": "first layer after the average, image at its own size; only weights with a head per view have it",
}
_NUMBERS: dict[Layer, int] = {"gap": 256, "flat": 4096, "fc1": 256}


@dataclass(frozen=True)
class Extractor:
    """One way to turn a breast into numbers.

    describe  in words;  published  how many numbers, with networks of the published width
    needs     what --weights must name
    trunk, layer  of exam networks: whose columns are used, and what is taken from them
    size      side of the square that images are shrunk to, pixels, if nothing else is asked; None: they are not
    """

    name: str
    describe: str
    published: int
    needs: Needs
    trunk: Trunk | None = None
    layer: Layer | None = None
    size: int | None = None


def _list_exam_networks() -> list[Extractor]:
    found = []
    for trunk, whose in _TRUNKS.items():
        for layer, what in _LAYERS.items():
            name = "_".join(part for part in ("nyu", "" if trunk == "one" else trunk, f"{layer}_") if part)
            name = name.replace("gap_", "gap256").replace("flat_", "flat4096").replace("fc1_", "fc1_256")
            size = 224 if layer == "flat" else None
            found.append(
                Extractor(name, f"exam network: {what}; {whose}", _NUMBERS[layer], "exam network", trunk, layer, size)
            )
    return found


_ALL = (
    *_list_exam_networks(),
    *(
        Extractor(f"imagenet_{family}_{n}", f"{title}, last map averaged", n, "ImageNet network", size=224)
        for family, title, n in (
            ("resnet50", "ResNet-50 for photographs", 2048),
            ("resnet18", "ResNet-18 for photographs", 512),
            ("squeezenet", "SqueezeNet for photographs", 512),
        )
    ),
    Extractor(
        "patch_1024",
        "patch network: mean and maximum, over patches beside each other, of its last features (1024 each)",
        2048,
        "patch network",
    ),
    Extractor("texture", "hand-made numbers of greys and textures; no network", 60, "nothing"),
    Extractor("noise", "drawn numbers that know nothing of the image: a control", 4096, "nothing"),
)
EXTRACTORS: Mapping[str, Extractor] = {extractor.name: extractor for extractor in _ALL}


def find_extractor(name: str) -> Extractor:
    """The extractor of this name. Raises SetupError, which lists them."""
    if name not in EXTRACTORS:
        raise SetupError(f"extractor {name!r}: unknown; need one of {', '.join(EXTRACTORS)}")
    return EXTRACTORS[name]
