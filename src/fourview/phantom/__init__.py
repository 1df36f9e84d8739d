"""A synthetic screening population with known truth: exams drawn alone from (recipe, seed, number).

who and what
    recipe, recipe_parts   every parameter of a population, frozen by hash; recipes/*.toml, recipes/cards.json
    population, course, chances   exam number n of a recipe, without pixels: woman, year, findings, biopsies
    signs, logits, pathology, distractor  BI-RADS words, their log-odds; what a biopsy says; what is never biopsied
    birads_model, readers  what a noisy reader says of a breast; a panel of readers
    truth, ceiling, recipe_card   the tables of the truth, and what the best observer could reach
pixels
    woman, anatomy, curves   her traits and two breasts in three dimensions
    outline, texture, muscle, skin, breast   one view of a breast -> brightness of tissue
    finding, mass, calcification, distortion, asymmetry   findings painted into a view (solid, specks, local_view, ring)
    rim, profiles, acquisition, detector, film, markers   brightness -> the pixels of a unit, with its noise and letters
    draw                   four images -> PhantomExam;  stream   exam after exam with its truth (start here)
files
    write_dicom, compress, write_png, fault   on disk, and the mistakes that archives make

They are for demonstrations, tests and mechanism checks. No result on them says anything about patients.
"""

from fourview.phantom.compress import SYNTAXES
from fourview.phantom.draw import PhantomExam, PhantomImage, draw_exam, draw_planned
from fourview.phantom.fault import FAULTS, Fault, plant
from fourview.phantom.finding import PhantomFinding, draw_finding
from fourview.phantom.population import PlannedBreast, PlannedExam, plan_exam
from fourview.phantom.profiles import PROFILES, find_profile
from fourview.phantom.recipe import Recipe, load_recipe
from fourview.phantom.recipe_card import describe_recipe, find_card
from fourview.phantom.stream import Truth, phantoms
from fourview.phantom.truth import write_truth
from fourview.phantom.woman import Density, Woman, draw_woman
from fourview.phantom.write_dicom import write_exam
from fourview.phantom.write_png import list_pictures, write_exam_png

__all__ = [
    "FAULTS",
    "PROFILES",
    "SYNTAXES",
    "Density",
    "Fault",
    "PhantomExam",
    "PhantomFinding",
    "PhantomImage",
    "PlannedBreast",
    "PlannedExam",
    "Recipe",
    "Truth",
    "Woman",
    "describe_recipe",
    "draw_exam",
    "draw_finding",
    "draw_planned",
    "draw_woman",
    "find_card",
    "find_profile",
    "list_pictures",
    "load_recipe",
    "phantoms",
    "plan_exam",
    "plant",
    "write_exam",
    "write_exam_png",
    "write_truth",
]
