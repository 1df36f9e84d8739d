"""A phantom exam as DICOM: four objects "Digital Mammography X-Ray Image - For Presentation" of one study.

Modules and attribute types follow DICOM PS3.3 A.27; dciodvfy (dicom3tools) finds no error in the result.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Literal

import numpy as np
from pydicom import Dataset, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, DigitalMammographyXRayImageStorageForPresentation, ExplicitVRLittleEndian, generate_uid

from fourview.exam import SetupError, View
from fourview.phantom.acquisition import Acquired, Setup
from fourview.phantom.compress import check_syntax, compress
from fourview.phantom.draw import PhantomExam, PhantomImage
from fourview.phantom.profiles import LookUpTable
from fourview.whole_files import write_whole

_DATE, _TIME = "20200101", "120000"  # of exams without a date: nothing depends on the day of writing
_IMPLEMENTATION = generate_uid(entropy_srcs=["fourview phantom writer"])
_VIEW_CODES = {"CC": ("399162004", "cranio-caudal"), "MLO": ("399368009", "medio-lateral oblique")}
_DOWN = {View.L_CC: "R", View.R_CC: "L", View.L_MLO: "FR", View.R_MLO: "FL"}  # where the columns run to
_TABLE_STEEPNESS = 5.0  # of the S of a VOI LUT


def write_exam(exam: PhantomExam, folder: Path, *, transfer_syntax: UID = ExplicitVRLittleEndian) -> tuple[Path, ...]:
    """The paths of the four files, in the order of exam.images; the same exam gives the same bytes.

    folder           made if it is not there; files of the same names are replaced, each in one step
    transfer_syntax  one of compress.SYNTAXES

    Raises SetupError for another transfer syntax, for films, or if the folder cannot be written.
    """
    check_syntax(transfer_syntax)
    paths = []
    for number, image in enumerate(exam.images, start=1):
        dataset = build_dataset(exam, image, number=number)
        compress(dataset, transfer_syntax)
        path = folder / exam.file_name(image.view)
        save_dataset(dataset, path)
        paths.append(path)
    return tuple(paths)


def save_dataset(dataset: Dataset, path: Path) -> None:
    """The data set as a file, whole or not at all. Raises SetupError if it cannot be written."""
    content = io.BytesIO()
    dcmwrite(content, dataset, enforce_file_format=True)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, content.getvalue())
    except OSError as error:
        raise SetupError(f"phantom: cannot write {path.name}: {error.strerror}") from error


def build_dataset(exam: PhantomExam, image: PhantomImage, *, number: int) -> Dataset:
    """One image as an uncompressed DICOM object with its file meta information; number counts from 1.

    Raises SetupError for films: they are scanned to PNG.
    """
    acquired = image.acquired
    if acquired.profile.film:
        raise SetupError("phantom: found a film, which is no DICOM mammogram; need another profile, or PNG")
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.SOPClassUID = DigitalMammographyXRayImageStorageForPresentation
    ds.SOPInstanceUID = exam.uid(image.view.value)
    _describe_study(ds, exam, acquired.setup)
    _describe_image(ds, exam, image, acquired, number=number)
    _describe_acquisition(ds, exam, image, acquired.setup)
    _describe_pixels(ds, acquired)
    _describe_display(ds, acquired.setup)
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\x00\x01"
    meta.MediaStorageSOPClassUID = ds.SOPClassUID
    meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = _IMPLEMENTATION
    meta.ImplementationVersionName = "FOURVIEW_PHANTOM"
    ds.file_meta = meta
    return ds


def name_view(ds: Dataset, angle: Literal["CC", "MLO"]) -> None:
    """Says in both places, code and plain tag, that this is a CC or MLO view without modifiers."""
    code, meaning = _VIEW_CODES[angle]
    item = _code(code, meaning)
    item.ViewModifierCodeSequence = Sequence()
    ds.ViewCodeSequence = Sequence([item])
    ds.ViewPosition = angle


def _describe_study(ds: Dataset, exam: PhantomExam, setup: Setup) -> None:
    """Patient, Study, Patient Study, General, DX and Mammography Series, Equipment."""
    date, age = exam.date, exam.woman.age
    ds.PatientName = f"PHANTOM^{exam.patient_id.removeprefix('PHANTOM-')}"
    ds.PatientID = exam.patient_id
    # of a population only the age is known, and a made-up birthday would differ from year to year
    ds.PatientBirthDate = "" if exam.plan else f"{int(date[:4]) - age}0101"
    ds.PatientSex = "F"
    ds.PatientAge = f"{age:03d}Y"
    ds.PatientComments = "Synthetic images: no person was imaged"
    ds.StudyInstanceUID = exam.study_uid
    ds.StudyDate, ds.StudyTime = date, _TIME
    ds.ReferringPhysicianName = ""
    ds.StudyID = str(exam.number)
    ds.AccessionNumber = ""
    ds.StudyDescription = "Synthetic screening mammography"
    ds.Modality = "MG"
    ds.SeriesInstanceUID = exam.uid("series")
    ds.SeriesNumber = 1
    ds.PresentationIntentType = "FOR PRESENTATION"
    ds.Manufacturer = "fourview"
    ds.ManufacturerModelName = f"phantom ({setup.profile.name})"
    ds.DeviceSerialNumber = "0"
    ds.SoftwareVersions = "1"


def _describe_image(ds: Dataset, exam: PhantomExam, image: PhantomImage, acquired: Acquired, *, number: int) -> None:
    """General Image, DX Anatomy Imaged, Mammography Image, Breast Implant, Acquisition Context."""
    ds.InstanceNumber = number
    ds.ImageType = ["ORIGINAL", "PRIMARY", ""]
    ds.AcquisitionNumber = number
    date = exam.date
    ds.AcquisitionDate, ds.AcquisitionTime = date, _TIME
    ds.ContentDate, ds.ContentTime = date, _TIME
    ds.PatientOrientation = ["A" if acquired.faces == "right" else "P", _DOWN[image.view]]
    ds.ImageLaterality = image.view.side.value
    name_view(ds, image.view.angle)
    ds.AnatomicRegionSequence = Sequence([_code("76752008", "Breast")])
    ds.OrganExposed = "BREAST"
    ds.BreastImplantPresent = "NO"
    ds.PartialView = "YES" if acquired.partial else "NO"
    ds.AcquisitionContextSequence = Sequence()
    ds.DerivationDescription = f"Simulated, BI-RADS density {exam.woman.density}"


def _describe_acquisition(ds: Dataset, exam: PhantomExam, image: PhantomImage, setup: Setup) -> None:
    """DX Detector, DX Positioning, X-Ray Acquisition Dose, as a digital unit writes them."""
    spacing = round(image.spacing_mm, 6)
    rows, cols = image.pixels.shape
    ds.DetectorType = setup.profile.detector
    ds.DetectorConfiguration = "AREA"
    ds.DetectorID = "PHANTOM"
    ds.DetectorActiveShape = "RECTANGLE"
    ds.ImagerPixelSpacing = [spacing, spacing]
    ds.FieldOfViewShape = "RECTANGLE"
    ds.FieldOfViewDimensions = [round(rows * spacing), round(cols * spacing)]
    ds.FieldOfViewOrigin = [0, 0]
    ds.FieldOfViewRotation = "0"
    ds.FieldOfViewHorizontalFlip = "YES" if setup.mirrored else "NO"
    ds.PositionerType = "MAMMOGRAPHIC"
    ds.PositionerPrimaryAngle = {"L-CC": 0, "R-CC": 0, "L-MLO": -45, "R-MLO": 45}[image.view.value]
    ds.PositionerSecondaryAngle = 0
    ds.BodyPartThickness = round(exam.woman.thickness_mm)
    ds.CompressionForce = 100
    ds.EstimatedRadiographicMagnificationFactor = 1
    ds.KVP = 28
    ds.AnodeTargetMaterial = setup.profile.anode


def _describe_pixels(ds: Dataset, acquired: Acquired) -> None:
    """Image Pixel, and of DX Image what the stored values mean."""
    profile = acquired.profile
    inverse = profile.photometric == "MONOCHROME1"
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = profile.photometric
    ds.Rows, ds.Columns = acquired.pixels.shape
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, profile.bits, profile.bits - 1
    ds.PixelRepresentation = 0
    if profile.padding:
        air = (profile.pedestal, profile.pedestal + profile.air_noise)
        first, last = (profile.white - value for value in air) if inverse else air
        ds.add_new("PixelPaddingValue", "US", first)
        if last != first:
            ds.add_new("PixelPaddingRangeLimit", "US", last)
    ds.PixelIntensityRelationship = "LOG"
    ds.PixelIntensityRelationshipSign = 1 if inverse else -1
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = 0, 1, "US"
    ds.PresentationLUTShape = "INVERSE" if inverse else "IDENTITY"
    ds.LossyImageCompression = "00"
    ds.BurnedInAnnotation = "NO"  # view letters name no patient and no date
    ds.QualityControlImage = "NO"
    ds.PixelData = acquired.pixels.astype("<u2").tobytes()
    ds["PixelData"].VR = "OW"


def _describe_display(ds: Dataset, setup: Setup) -> None:
    """VOI LUT: windows, and where the unit offers one, a table of stored values."""
    profile = setup.profile
    inverse = profile.photometric == "MONOCHROME1"  # windows are defined on stored values (PS3.3 C.11.2)
    centres = [w.centre + (setup.window_shift if n == 0 else 0) for n, w in enumerate(profile.windows)]
    ds.WindowCenter = [profile.white - centre if inverse else centre for centre in centres]
    ds.WindowWidth = [window.width for window in profile.windows]
    if any(window.name for window in profile.windows):
        ds.WindowCenterWidthExplanation = [window.name for window in profile.windows]
    ds.VOILUTFunction = profile.window_function
    if profile.table is not None:
        ds.VOILUTSequence = Sequence([_tabulate(profile.table)])


def _tabulate(table: LookUpTable) -> Dataset:
    """The item of a VOI LUT Sequence."""
    at = np.linspace(-0.5, 0.5, table.last - table.first + 1)
    end = 1 / (1 + np.exp(-_TABLE_STEEPNESS * 0.5))
    share = (1 / (1 + np.exp(-_TABLE_STEEPNESS * at)) - (1 - end)) / (2 * end - 1)
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [at.size, table.first, table.bits])
    item.LUTExplanation = table.name
    item.add_new("LUTData", "US", np.rint(share * ((1 << table.bits) - 1)).astype(int).tolist())
    return item


def _code(value: str, meaning: str) -> Dataset:
    """One item of a code sequence, in SNOMED CT."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "SCT", meaning
    return item
