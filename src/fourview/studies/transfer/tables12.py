"""The paper's Tables 1 and 2: the confusion counts that their printed digits come from, and those digits.

No counts were printed. They are the smallest ones that give every printed number of a row: 82 test images with 20
positives (Table 1), 136 with 35 (Table 2), and 205 of 620 where SMOTE had made the classes equal. What Table 2 calls
AUC is (sensitivity + specificity) / 2 of these counts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fourview.evaluate.operating import operate


@dataclass(frozen=True)
class PublishedRow:
    """One row. tp, fp, fn, tn: counts; printed: name of the number -> as printed.

    kept  features, as printed (row 2's is told by row 4);  cv  mean and sd, as printed
    smote  the classes may be the other way round: accuracy and balanced accuracy are the same
    """

    model: str
    tp: int
    fn: int
    tn: int
    fp: int
    printed: dict[str, str]
    smote: bool = False
    extractor: str = ""
    kept: int = 0
    cv: tuple[str, str] = ("", "")

    def compute(self) -> dict[str, float]:
        """Name of each printed number -> the same from the counts, by the metric code that our numbers come from."""
        y = np.repeat([1, 1, 0, 0], [self.tp, self.fn, self.tn, self.fp])
        called = np.repeat([1, 0, 0, 1], [self.tp, self.fn, self.tn, self.fp])
        found = {estimate.name: estimate.value for estimate in operate(y, called, 0.5, unit="image")}
        names = {
            "accuracy": "accuracy",
            "balanced_accuracy_hard": "balanced accuracy",
            "precision": "PPV in this table",
            "recall": "sensitivity",
        }
        return {name: found[names[name]] for name in self.printed}


def _one(model: str, tp: int, fp: int, fn: int, tn: int, *, printed: tuple[str, str, str]) -> PublishedRow:
    return PublishedRow(model, tp, fn, tn, fp, dict(zip(("accuracy", "precision", "recall"), printed, strict=True)))


TABLE_1 = (  # the binary task; AUROC came from scores that were not printed
    _one("resnet50", 14, 5, 6, 57, printed=(".866", ".737", ".70")),
    _one("resnet18", 12, 4, 8, 58, printed=(".854", ".750", ".60")),
    _one("squeezenet", 7, 9, 13, 53, printed=(".732", ".437", ".35")),
    _one("NYU L-MLO", 5, 3, 15, 59, printed=(".780", ".625", ".25")),
    _one("NYU R-CC", 6, 3, 14, 59, printed=(".793", ".667", ".30")),
)
TABLE_1_BIRADS = (("resnet50", 45, ".549"), ("resnet18", 47, ".573"), ("squeezenet", 35, ".427"))  # right of 82


def _two(
    model: str, extractor: str, kept: int, counts: tuple[int, int, int, int], *, printed: tuple[str, str, str, str]
) -> PublishedRow:
    numbers = dict(zip(("accuracy", "balanced_accuracy_hard"), printed[:2], strict=True))
    name, _, smote = model.partition(" + ")
    return PublishedRow(name, *counts, numbers, bool(smote), extractor, kept, (printed[2], printed[3]))


_LINEAR, _RBF, _LR = "linear SVM", "RBF SVM", "LR"
TABLE_2 = (
    _two(_LINEAR, "ResNet50", 2048, (13, 22, 76, 25), printed=(".6544", ".5620", ".58", ".09")),
    _two(_LINEAR, "ResNet50", 217, (27, 8, 91, 10), printed=(".8676", ".8362", ".74", ".11")),
    _two(_RBF, "ResNet50", 217, (1, 34, 101, 0), printed=(".7500", ".5143", ".51", ".03")),
    _two(_LR, "ResNet50", 217, (27, 8, 91, 10), printed=(".8676", ".8362", ".76", ".12")),
    _two(f"{_LINEAR} + SMOTE", "ResNet50", 217, (91, 3, 100, 11), printed=(".9317", ".9345", ".94", ".03")),
    _two(f"{_LR} + SMOTE", "ResNet50", 217, (90, 4, 97, 14), printed=(".9122", ".9157", ".95", ".04")),
    _two(_LINEAR, "NYU L-CC", 4096, (11, 24, 83, 18), printed=(".6912", ".5680", ".56", ".07")),
    _two(_RBF, "NYU L-CC", 4096, (0, 35, 101, 0), printed=(".7426", ".5000", ".50", ".03")),
    _two(_LINEAR, "NYU L-CC", 350, (27, 8, 92, 9), printed=(".8750", ".8412", ".74", ".10")),
    _two(_RBF, "NYU L-CC", 350, (0, 35, 101, 0), printed=(".7426", ".5000", ".50", ".03")),
    _two(_LR, "NYU L-CC", 350, (25, 10, 90, 11), printed=(".8456", ".8027", ".72", ".11")),
    _two(f"{_LINEAR} + SMOTE", "NYU L-CC", 350, (93, 1, 104, 7), printed=(".9610", ".9631", ".96", ".02")),
    _two(f"{_LR} + SMOTE", "NYU L-CC", 350, (93, 1, 98, 13), printed=(".9317", ".9361", ".94", ".04")),
    _two(_LINEAR, "NYU Avg", 325, (19, 16, 92, 9), printed=(".8162", ".7269", ".73", ".07")),
    _two(_LR, "NYU Avg", 325, (17, 18, 94, 7), printed=(".8162", ".7082", ".72", ".08")),
    _two(f"{_LINEAR} + SMOTE", "NYU Avg", 325, (92, 2, 108, 3), printed=(".9756", ".9758", ".97", ".04")),
    _two(f"{_RBF} + SMOTE", "NYU Avg", 325, (69, 25, 68, 43), printed=(".6683", ".6733", ".72", ".07")),
    _two(f"{_LR} + SMOTE", "NYU Avg", 325, (92, 2, 105, 6), printed=(".9610", ".9623", ".97", ".03")),
)
