"""Synthetic screening exams with known findings: draw one, use it in memory or write it as DICOM.

    woman     who she is: breast size, compressed thickness, density, glandular lobes
    outline   the shape of the breast in one view, and where a place in the breast appears in that view
    texture   power-law noise and strands, in millimetres, so that the anatomy is the same at every scale
    finding   a mass or a cluster of calcifications, seen in CC and MLO of one breast
    breast    outline + tissue + findings -> one 12-bit image
    draw      four images -> PhantomExam (start here)
    write_dicom, fault   DICOM mammograms on disk, and the mistakes that archives make with them

They look like mammograms at a glance. They are for demonstrations and tests, not for training a reader of
real exams.
"""

from fourview.phantom.draw import PhantomExam, PhantomImage, draw_exam
from fourview.phantom.fault import FAULTS, Fault, plant
from fourview.phantom.finding import PhantomFinding, draw_finding
from fourview.phantom.woman import Density, Woman, draw_woman
from fourview.phantom.write_dicom import write_exam

__all__ = [
    "FAULTS",
    "Density",
    "Fault",
    "PhantomExam",
    "PhantomFinding",
    "PhantomImage",
    "Woman",
    "draw_exam",
    "draw_finding",
    "draw_woman",
    "plant",
    "write_exam",
]
