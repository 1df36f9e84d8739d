"""Recipes of the exam stages, small enough for tests, on the pixels of the fixture phantom_store."""

from __future__ import annotations

from fourview.train.recipe import Recipe, parse_recipe

GEOMETRY = """[geometry]
crop_iterations = 10
crop_buffer_px = 5
window_cc_px = [268, 194]
window_mlo_px = [297, 175]
location_noise_px = [10, 10]
size_noise_px = 10
"""
RATES = """[optimiser]
name = "adam"
lr = 1e-3
weight_decay = 0.0
[schedule]
kind = "constant"
"""
_EXAM = f"""
name = "tiny"
stage = "STAGE"
[exam]
wiring = "view-wise"
heatmaps = false
width = 2
blocks = [1, 1, 1, 1, 1]
{GEOMETRY}[exams]
{RATES}[loop]
epochs = 2
patience = 2
batch = 2
micro_batch = 2
workers = 0
"""


def exam_recipe(*settings: str, stage: str = "exam") -> Recipe:
    return parse_recipe(_EXAM.replace("STAGE", stage)).with_values(settings)
