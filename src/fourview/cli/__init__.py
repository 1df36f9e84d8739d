"""The verbs of `fourview`, one file per kind of work. Heavy modules are imported inside them, so --help is quick."""

from fourview.cli import (
    calibrate,
    data,
    evaluate,
    features,
    finetune,
    heatmaps,
    phantom,
    readers,
    screen,
    train,
    transfer,
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
    "main",
    "phantom",
    "readers",
    "screen",
    "train",
    "transfer",
    "weights",
    "zeroshot",
]
