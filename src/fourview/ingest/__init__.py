"""Files -> Exam.

find_exams walks folders, zips and lists, reads headers only, and returns one ExamSource per exam; its read() reads
the pixels. read_exam does both for one exam. What a file is: kinds and names (listed, view_names, dicom_kinds);
what its pixels mean: dicom, grey, raster; where the breast points: orientation. Every decision is recorded in the
mammogram.
"""

from fourview.ingest.find import find_exams, read_exam
from fourview.ingest.sources import ExamSource, Found, ImageSource, IngestOptions

__all__ = ["ExamSource", "Found", "ImageSource", "IngestOptions", "find_exams", "read_exam"]
