"""The drawing that overlays, contact sheets and galleries share: the mammogram in grey, text in margins, files' bytes.

Pictures are (rows, cols, 3) uint8 in RGB.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fourview.exam import Box, Frame, ImageReading

Picture = NDArray[np.uint8]
Colour = tuple[int, int, int]

BACKGROUND: Colour = (24, 24, 28)
TEXT: Colour = (225, 225, 225)
FAINT: Colour = (150, 150, 155)
WARN: Colour = (255, 176, 0)
CROP: Colour = (0, 190, 220)
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_PERCENTILES = (1.0, 99.5)
MOST_BYTES = 20_000  # of one picture of a gallery
_QUALITIES = (85, 75, 60, 45, 30)
_FACTORS = (1.0, 0.7, 0.5, 0.35, 0.25)  # of its size; the last one fits even noise
_SHARP = (cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444)


def shrink(pixels: NDArray[Any], *, rows: int, cols: int) -> NDArray[Any]:
    """The image at most `rows` high and `cols` wide: area means, never enlarged; same type."""
    factor = min(1.0, rows / pixels.shape[0], cols / pixels.shape[1])
    return area_means(pixels, (max(1, round(pixels.shape[0] * factor)), max(1, round(pixels.shape[1] * factor))))


def area_means(pixels: NDArray[Any], shape: tuple[int, int]) -> NDArray[Any]:
    """The image in exactly this smaller (or the same) shape."""
    if pixels.shape == shape:
        return pixels
    return np.asarray(cv2.resize(pixels, (shape[1], shape[0]), interpolation=cv2.INTER_AREA))


def grey_picture(pixels: NDArray[Any], frame: Frame, *, rows: int, cols: int) -> Picture:
    """The mammogram in grey, at most (rows, cols), its window set by the breast.

    Black and white are the 1st and the 99.5th percentile of the non-zero pixels inside the crop, so text and
    markers outside do not darken the breast.
    """
    small = shrink(pixels, rows=rows, cols=cols).astype(np.float32)
    inside = small[scaled_box(frame.box_source, pixels.shape, small.shape).slices]
    breast = inside[inside > 0]
    low, high = np.percentile(breast, _PERCENTILES) if breast.size else (0.0, 1.0)
    grey = np.clip((small - low) / max(float(high - low), 1e-6), 0, 1) * 255
    return np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2)


def scaled_box(box: Box, shape: tuple[int, ...], small: tuple[int, ...]) -> Box:
    """The box of an image of `shape` in its shrunken copy of shape `small`; at least one pixel."""
    y, x = small[0] / shape[0], small[1] / shape[1]
    top, left = int(box.top * y), int(box.left * x)
    return Box(top, max(top + 1, round(box.bottom * y)), left, max(left + 1, round(box.right * x)))


def draw_crop(picture: Picture, image: ImageReading) -> None:
    """The crop box as a thin line, in place."""
    box = scaled_box(image.frame.box_source, image.frame.source_shape, picture.shape)
    bottom, right = min(box.bottom, picture.shape[0]) - 1, min(box.right, picture.shape[1]) - 1
    cv2.rectangle(picture, (box.left, box.top), (right, bottom), CROP, 1)


def write_text(
    picture: Picture,
    text: str,
    *,
    row: int,
    col: int,
    size_px: int,
    colour: Colour = TEXT,
    bold: bool = False,
) -> None:
    """One line of text, in place; (row, col) is the left end of its base line, size_px its height."""
    scale = cv2.getFontScaleFromHeight(_FONT, size_px, 1)
    ascii_text = text.encode("ascii", "replace").decode()  # the drawing font holds nothing else
    cv2.putText(picture, ascii_text, (col, row), _FONT, scale, colour, 2 if bold else 1, cv2.LINE_AA)


def text_width(text: str, *, size_px: int, bold: bool = False) -> int:
    """How many pixels a line of text takes."""
    scale = cv2.getFontScaleFromHeight(_FONT, size_px, 1)
    return int(cv2.getTextSize(text, _FONT, scale, 2 if bold else 1)[0][0])


def wrap_text(text: str, *, width_px: int, size_px: int, bold: bool = False) -> list[str]:
    """The text in lines of at most width_px; a single longer word is cut."""
    lines: list[str] = [""]
    for whole in text.split():
        word = fit_text(whole, width_px=width_px, size_px=size_px, bold=bold)
        candidate = f"{lines[-1]} {word}".strip()
        if text_width(candidate, size_px=size_px, bold=bold) <= width_px:
            lines[-1] = candidate
        else:
            lines.append(word)
    return [line for line in lines if line]


def fit_text(text: str, *, width_px: int, size_px: int, bold: bool = False) -> str:
    """The text, its end replaced by dots where it is too long for width_px."""
    if text_width(text, size_px=size_px, bold=bold) <= width_px:
        return text
    while text and text_width(text + "...", size_px=size_px, bold=bold) > width_px:
        text = text[:-1]
    return text + "..."


def draw_nipple_arrow(picture: Picture, *, row: int, faces: str, size_px: int) -> None:
    """The word nipple and an arrow that points where it is, at that end of the picture's line `row`."""
    word, length = "nipple", 3 * size_px
    width = text_width(word, size_px=size_px)
    middle = row - size_px // 2
    if faces == "right":
        tip = picture.shape[1] - size_px
        write_text(picture, word, row=row, col=tip - length - width - size_px // 2, size_px=size_px)
        ends = (tip - length, middle), (tip, middle)
    else:
        tip = size_px
        write_text(picture, word, row=row, col=tip + length + size_px // 2, size_px=size_px)
        ends = (tip + length, middle), (tip, middle)
    cv2.arrowedLine(picture, *ends, TEXT, 1, cv2.LINE_AA, tipLength=0.3)


def png_bytes(picture: NDArray[np.uint8] | NDArray[np.uint16]) -> bytes:
    """The picture as PNG: RGB, or grey of 8 or 16 bits, values unchanged."""
    bgr = picture if picture.ndim == 2 else cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    ok, encoded = cv2.imencode(".png", bgr, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    if not ok:
        raise OSError(f"the image of shape {picture.shape} could not be coded as PNG")
    return bytes(encoded)


def encode_small(picture: Picture, *, rows: int, cols: int) -> bytes:
    """The picture as JPEG of at most MOST_BYTES and (rows, cols): a lower quality first, then fewer pixels.

    Colours stay at full resolution: the usual halving would blur outlines of one pixel.
    """
    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    for factor in _FACTORS:
        small = shrink(bgr, rows=round(rows * factor), cols=round(cols * factor))
        for quality in _QUALITIES:
            ok, encoded = cv2.imencode(".jpg", small, [*_SHARP, cv2.IMWRITE_JPEG_QUALITY, quality])
            if ok and len(encoded) <= MOST_BYTES:
                return bytes(encoded)
    raise OSError(f"a picture of shape {picture.shape} could not be made smaller than {MOST_BYTES} bytes")
