"""How images are taken: one profile per kind of mammography unit, as plain data.

Grids, pixel sizes, bit depths and tags are of the kinds that real units write; noise and blur were set beside public
samples. They are not measurements of anybody's product, and their names say what they resemble, not what they are.

Noise and blur are given in mm, never in pixels. White noise of power W (brightness² mm²) has the standard deviation
sqrt(W) / p in pixels of p mm; so an image drawn in pixels four times as large has the noise that remains after
4 x 4 pixels of the fine image are averaged.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fourview.exam import SetupError

Photometric = Literal["MONOCHROME1", "MONOCHROME2"]
MarkerStyle = Literal["none", "letters", "brackets"]


@dataclass(frozen=True)
class Noise:
    """Noise of a detector, in tissue brightness (linear in the logarithm of the exposure).

    quantum_mm2     power of the noise of the photons at low frequencies where brightness is 0; the blur of the
                    detector takes it away at high ones
    electronic_mm2  power of the noise of the read-out where brightness is 0: white
    attenuation     natural logarithm of the exposure at brightness 0 over the exposure at brightness 1: fewer photons
                    behind dense tissue, so the power grows as exp(attenuation * t), of the read-out as its square
    """

    quantum_mm2: float
    electronic_mm2: float
    attenuation: float


@dataclass(frozen=True)
class GreyCurve:
    """Brightness -> share of the stored range: a logistic curve from (0, 0) to (1, 1). steepness 0: a straight line."""

    steepness: float = 0.0
    middle: float = 0.5


@dataclass(frozen=True)
class Window:
    """A window on stored values as a file offers it (DICOM PS3.3 C.11.2)."""

    centre: float
    width: float
    name: str = ""


@dataclass(frozen=True)
class LookUpTable:
    """A VOI LUT of `bits` bits: from 0 at the stored value `first` to its largest value at `last`, along an S."""

    first: int
    last: int
    bits: int
    name: str


@dataclass(frozen=True)
class Profile:
    """One kind of unit.

    rows, cols, pixel_mm   the whole image and its square pixels at scale 1
    bits                   BitsStored; 8 for film
    photometric            MONOCHROME1: low values are bright
    pedestal               stored brightness of air, below all tissue
    air_noise              air holds values from the pedestal to this much above it, else one value
    padding                the file names the values of air (PixelPaddingValue, and its range where air is noisy)
    noise, blur_mm         of the detector; blur_mm is the standard deviation of what blurs tissue and photon noise
    speckle                instead of `noise`: standard deviation of every pixel as a share of its brightness
    curve                  brightness -> stored values
    windows, window_function, table    what the file offers for display; the first window moves by up to
    window_jitter          stored values from exam to exam
    markers, marker_mm     burned-in view letters and their height
    marker_share, ball_share, mirrored_share   of the exams: with letters, with a metal ball at the nipple, stored
                           mirrored (left breasts pointing left)
    detector, anode        DetectorType and AnodeTargetMaterial
    film                   a scanned film: no DICOM object
    """

    name: str
    rows: int
    cols: int
    pixel_mm: float
    bits: int
    photometric: Photometric = "MONOCHROME2"
    pedestal: int = 0
    air_noise: int = 0
    padding: bool = False
    noise: Noise | None = None
    blur_mm: float = 0.0
    speckle: float = 0.0
    curve: GreyCurve = GreyCurve()
    windows: tuple[Window, ...] = ()
    window_function: Literal["LINEAR", "SIGMOID"] = "LINEAR"
    window_jitter: int = 0
    table: LookUpTable | None = None
    markers: MarkerStyle = "none"
    marker_mm: float = 6.0
    marker_share: float = 0.0
    ball_share: float = 0.0
    mirrored_share: float = 0.0
    detector: Literal["DIRECT", "SCINTILLATOR"] = "DIRECT"
    anode: str = "TUNGSTEN"
    film: bool = False

    @property
    def white(self) -> int:
        """The largest stored value."""
        return (1 << self.bits) - 1

    @property
    def darkest(self) -> int:
        """The stored brightness of the darkest tissue: just above air."""
        return self.pedestal + self.air_noise + 1

    def grid(self, scale: float) -> tuple[tuple[int, int], float]:
        """(rows, cols) and the pixel size in mm of an image at this scale (1 = the unit's own)."""
        return (round(self.rows * scale), round(self.cols * scale)), self.pixel_mm / scale


_ALL = (
    # What tests and demonstrations stand on: a straight line from brightness to 12 bits, air exactly 0, nothing else.
    Profile("plain", 3328, 2560, 0.07, 12, speckle=0.03, windows=(Window(2048, 4096),)),
    # Low values bright and a 14-bit range, as headers of tomosynthesis-era units have it; SIGMOID windows.
    Profile(
        "dimensions", 3328, 2560, 0.07, 14, "MONOCHROME1",
        padding=True,  # air = 16383, the darkest value, named by PixelPaddingValue
        noise=Noise(2.6e-6, 1.0e-7, 3.1),  # selenium: little blur, noise nearly white
        blur_mm=0.034, curve=GreyCurve(3.4, 0.45),
        windows=(Window(9000, 9600, "NORMAL"), Window(9400, 9600, "DARKER"), Window(8600, 9600, "LIGHTER")),
        window_function="SIGMOID", window_jitter=300,
        markers="brackets", marker_mm=5.5, marker_share=0.9, ball_share=0.5,
    ),
    # The larger field of 24 x 29 cm, 12 bits, air 0 and named, one LINEAR window.
    Profile(
        "selenia", 4096, 3328, 0.07, 12, padding=True,
        noise=Noise(3.3e-6, 1.3e-7, 2.9), blur_mm=0.036, curve=GreyCurve(3.0, 0.44),
        windows=(Window(2047, 4096),), markers="brackets", marker_mm=6.0, marker_share=0.9, ball_share=0.4,
    ),
    # 10 bits on a pedestal that no tag names; some sites store all images mirrored.
    Profile(
        "inspiration", 3518, 2800, 0.085, 10, pedestal=40,
        noise=Noise(2.8e-6, 1.0e-7, 3.0), blur_mm=0.040, curve=GreyCurve(3.6, 0.48),
        windows=(Window(500, 900, "USER"),), window_jitter=20,
        markers="letters", marker_mm=7.0, marker_share=0.8, ball_share=0.15, mirrored_share=0.25,
    ),
    # 19 x 23 cm in 0.1 mm pixels behind a scintillator: more blur, correlated noise; air is not one value, a range is
    # named; a VOI LUT and three SIGMOID windows.
    Profile(
        "senographe", 2294, 1914, 0.1, 12, air_noise=30, padding=True,
        noise=Noise(4.0e-6, 1.5e-7, 2.4), blur_mm=0.055, curve=GreyCurve(2.4, 0.45),
        windows=(Window(1900, 2500, "NORMAL"), Window(1950, 2100, "HARDER"), Window(1850, 2900, "SOFTER")),
        window_function="SIGMOID", window_jitter=80, table=LookUpTable(100, 3900, 12, "NORMAL"),
        markers="letters", marker_mm=8.0, marker_share=0.9, ball_share=0.2, mirrored_share=0.1,
        detector="SCINTILLATOR", anode="RHODIUM",
    ),
    # A scanned 18 x 24 cm film; see fourview.phantom.film.
    Profile("film", 1200, 900, 0.2, 8, blur_mm=0.09, markers="letters", marker_mm=7.0, marker_share=0.95,
            ball_share=0.1, detector="SCINTILLATOR", anode="MOLYBDENUM", film=True),
)  # fmt: skip
PROFILES: dict[str, Profile] = {profile.name: profile for profile in _ALL}


def find_profile(name: str) -> Profile:
    """The profile of this name. Raises SetupError."""
    if name not in PROFILES:
        raise SetupError(f"phantom: found profile {name!r}, need one of {', '.join(PROFILES)}")
    return PROFILES[name]
