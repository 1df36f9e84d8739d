"""A phantom exam as DICOM: four objects "Digital Mammography X-Ray Image - For Presentation" of one study.

Modules and attribute types follow DICOM PS3.3 A.27; dciodvfy (dicom3tools) finds no error in the result.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Literal

from pydicom import Dataset, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    UID,
    DigitalMammographyXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
    generate_uid,
)

from fourview.exam import SetupError, View
from fourview.phantom.draw import PhantomExam, PhantomImage
from fourview.whole_files import write_whole

_DATE, _TIME = "20200101", "120000"  # the same for every phantom: nothing depends on the day of writing
_COMPRESSED = (RLELossless, JPEGLSLossless, JPEG2000Lossless)
_IMPLEMENTATION = generate_uid(entropy_srcs=["fourview phantom writer"])
_VIEW_CODES = {"CC": ("399162004", "cranio-caudal"), "MLO": ("399368009", "medio-lateral oblique")}
_ORIENTATION = {
    View.L_CC: ["A", "R"],
    View.R_CC: ["P", "L"],
    View.L_MLO: ["A", "FR"],
    View.R_MLO: ["P", "FL"],
}


def write_exam(exam: PhantomExam, folder: Path, *, transfer_syntax: UID = ExplicitVRLittleEndian) -> tuple[Path, ...]:
    """The paths of the four files, in the order of exam.images; the same exam gives the same bytes.

    folder           made if it is not there; files of the same names are replaced, each in one step
    transfer_syntax  any uncompressed little-endian one, RLE, JPEG-LS Lossless or JPEG 2000 Lossless

    Raises SetupError for another transfer syntax, or if the folder cannot be written.
    """
    if transfer_syntax not in _COMPRESSED and (transfer_syntax.is_compressed or not transfer_syntax.is_little_endian):
        raise SetupError(
            f"phantom: found transfer syntax {transfer_syntax.name}, need an uncompressed little-endian one, "
            "RLE, JPEG-LS Lossless or JPEG 2000 Lossless"
        )
    paths = []
    for number, image in enumerate(exam.images, start=1):
        dataset = build_dataset(exam, image, number=number)
        if transfer_syntax in _COMPRESSED:
            dataset.compress(transfer_syntax, generate_instance_uid=False)
        dataset.file_meta.TransferSyntaxUID = transfer_syntax
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
    """One image as an uncompressed DICOM object with its file meta information; number counts from 1."""
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.SOPClassUID = DigitalMammographyXRayImageStorageForPresentation
    ds.SOPInstanceUID = exam.uid(image.view.value)
    _describe_study(ds, exam)
    _describe_image(ds, exam, image, number=number)
    _describe_acquisition(ds, exam, image)
    _describe_pixels(ds, image)
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


def _describe_study(ds: Dataset, exam: PhantomExam) -> None:
    """Patient, Study, Patient Study, General, DX and Mammography Series, Equipment."""
    ds.PatientName = f"PHANTOM^{exam.number:04d}"
    ds.PatientID = exam.patient_id
    ds.PatientBirthDate = f"{int(_DATE[:4]) - exam.woman.age}0101"
    ds.PatientSex = "F"
    ds.PatientAge = f"{exam.woman.age:03d}Y"
    ds.PatientComments = "Synthetic images: no person was imaged"
    ds.StudyInstanceUID = exam.study_uid
    ds.StudyDate, ds.StudyTime = _DATE, _TIME
    ds.ReferringPhysicianName = ""
    ds.StudyID = str(exam.number)
    ds.AccessionNumber = ""
    ds.StudyDescription = "Synthetic screening mammography"
    ds.Modality = "MG"
    ds.SeriesInstanceUID = exam.uid("series")
    ds.SeriesNumber = 1
    ds.PresentationIntentType = "FOR PRESENTATION"
    ds.Manufacturer = "fourview"
    ds.ManufacturerModelName = "phantom"
    ds.DeviceSerialNumber = "0"
    ds.SoftwareVersions = "1"


def _describe_image(ds: Dataset, exam: PhantomExam, image: PhantomImage, *, number: int) -> None:
    """General Image, DX Anatomy Imaged, Mammography Image, Breast Implant, Acquisition Context."""
    ds.InstanceNumber = number
    ds.ImageType = ["ORIGINAL", "PRIMARY", ""]
    ds.AcquisitionNumber = number
    ds.AcquisitionDate, ds.AcquisitionTime = _DATE, _TIME
    ds.ContentDate, ds.ContentTime = _DATE, _TIME
    ds.PatientOrientation = _ORIENTATION[image.view]
    ds.ImageLaterality = image.view.side.value
    name_view(ds, image.view.angle)
    ds.AnatomicRegionSequence = Sequence([_code("76752008", "Breast")])
    ds.OrganExposed = "BREAST"
    ds.BreastImplantPresent = "NO"
    ds.PartialView = "NO"
    ds.AcquisitionContextSequence = Sequence()
    ds.DerivationDescription = f"Simulated, BI-RADS density {exam.woman.density}"


def _describe_acquisition(ds: Dataset, exam: PhantomExam, image: PhantomImage) -> None:
    """DX Detector, DX Positioning, X-Ray Acquisition Dose, as a digital unit writes them."""
    spacing = round(image.spacing_mm, 6)
    rows, cols = image.pixels.shape
    ds.DetectorType = "DIRECT"
    ds.DetectorConfiguration = "AREA"
    ds.DetectorID = "PHANTOM"
    ds.DetectorActiveShape = "RECTANGLE"
    ds.ImagerPixelSpacing = [spacing, spacing]
    ds.FieldOfViewShape = "RECTANGLE"
    ds.FieldOfViewDimensions = [round(rows * spacing), round(cols * spacing)]
    ds.FieldOfViewOrigin = [0, 0]
    ds.FieldOfViewRotation = "0"
    ds.FieldOfViewHorizontalFlip = "NO"
    ds.PositionerType = "MAMMOGRAPHIC"
    ds.PositionerPrimaryAngle = {"L-CC": 0, "R-CC": 0, "L-MLO": -45, "R-MLO": 45}[image.view.value]
    ds.PositionerSecondaryAngle = 0
    ds.BodyPartThickness = round(exam.woman.thickness_mm)
    ds.CompressionForce = 100
    ds.EstimatedRadiographicMagnificationFactor = 1
    ds.KVP = 28
    ds.AnodeTargetMaterial = "TUNGSTEN"


def _describe_pixels(ds: Dataset, image: PhantomImage) -> None:
    """Image Pixel, DX Image, VOI LUT: 12 bits in 16, bright is dense, background 0."""
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.Rows, ds.Columns = image.pixels.shape
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, 12, 11
    ds.PixelRepresentation = 0
    ds.PixelIntensityRelationship = "LOG"
    ds.PixelIntensityRelationshipSign = -1
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = 0, 1, "US"
    ds.PresentationLUTShape = "IDENTITY"
    ds.LossyImageCompression = "00"
    ds.BurnedInAnnotation = "NO"
    ds.QualityControlImage = "NO"
    ds.WindowCenter, ds.WindowWidth = 2048, 4096
    ds.VOILUTFunction = "LINEAR"
    ds.PixelData = image.pixels.astype("<u2").tobytes()
    ds["PixelData"].VR = "OW"


def _code(value: str, meaning: str) -> Dataset:
    """One item of a code sequence, in SNOMED CT."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "SCT", meaning
    return item
