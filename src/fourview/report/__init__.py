"""Readings out: tables, one folder per exam, overlay pictures, the record of a run."""

from fourview.report.contact_sheet import Tile, draw_contact_sheet
from fourview.report.exam_folder import load_heatmaps, write_exam_folder
from fourview.report.overlay import draw_overlay
from fourview.report.reading_json import SavedReading, load_reading
from fourview.report.readings import Failure, write_tables

__all__ = [
    "Failure",
    "SavedReading",
    "Tile",
    "draw_contact_sheet",
    "draw_overlay",
    "load_heatmaps",
    "load_reading",
    "write_exam_folder",
    "write_tables",
]
