"""The verbs of `fourview`, one file per kind of work. Heavy modules are imported inside them, so --help is quick."""

from fourview.cli import (
    calibrate,
    data,
    evaluate,
    features,
    finetune,
    heatmaps,
    learning_curve,
    phantom,
    readers,
    screen,
    shift,
    train,
    transfer,
    transfer_sets,
    weights,
    zeroshot,
)  # each adds its verbs, in this order
from fourview.cli.app import app, main

__all__ = [
    "app",
    "calibrate",
    "data",
    "evaluate",
    "features",
    "finetune",
    "heatmaps",
    "learning_curve",
    "main",
    "phantom",
    "readers",
    "screen",
    "shift",
    "train",
    "transfer",
    "transfer_sets",
    "weights",
    "zeroshot",
]
