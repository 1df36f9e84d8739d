"""Files of the upstream release -> weights folders. Facts about the names: the published key lists."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from fourview.exam import SetupError
from fourview.networks.exam import VIEW_NAMES
from fourview.weights.card import Card, ExamNetwork, Input, PatchNetwork, Training, WiringName
from fourview.weights.download import git_blob_id
from fourview.weights.folder import build_exam, build_patch, fit_tensors, load_weights, save_weights
from fourview.weights.zoo import NYU

Kind = Literal["patch", "view-wise", "image-wise", "single-image"]

NYU_LICENCE = "AGPL-3.0 (weights of nyukat/breast_cancer_classifier)"
NYU_TRAINING = Training(
    trained=True,
    data="NYU Breast Cancer Screening Dataset v1.0: full-field digital screening mammograms, 2010-2017",
    terms="private training data; weights under AGPL-3.0",
    source="Wu et al. 2019, arXiv 1903.08297; github.com/nyukat/breast_cancer_classifier",
)
# Detectors of 0.065-0.1 mm are read pixel by pixel, as upstream does. Anything else (film scans) is brought to the
# 0.07 mm of the most frequent training detector first: upstream has no notion of pixel size.
NYU_INPUT = Input(spacing_mm=0.07, spacing_range_mm=(0.065, 0.1), resample="outside_range")


def convert_file(
    path: Path,
    *,
    kind: Kind,
    out: Path,
    name: str | None = None,
    patch: Path | None = None,
    view: str | None = None,
    licence: str | None = None,
) -> Card:
    """Write the weights folder of one upstream file and return its card.

    kind   what the file holds; "single-image" takes an image-wise file (all four heads) or a one-view file
    patch  weights folder of the patch network (kind "patch"): required for image+heatmaps networks, copied in
    view   only for a one-view file: the view that its head was trained for

    The card names the release's training data and licence only if the file is, byte for byte, one of the release;
    any other file in that format has an unknown origin, and every reading will say so. licence overrules.

    Raises SetupError: not such a file, wrong tensors, missing patch network, `out` exists.
    """
    state = read_state(path)
    name = name or out.name
    training, usual_licence = _origin(path)
    licence = licence or usual_licence
    if kind == "patch":
        network = PatchNetwork(classes=_patch_classes(state, path))
        fit_tensors(build_patch(network), state, origin=path.name)
        return save_weights(
            out,
            Card(name=name, patch=network, input=NYU_INPUT, training=training, licence=licence),
            patch=state,
        )
    one_view = any(key.startswith("view_resnet.") for key in state)
    if one_view and kind != "single-image":
        raise SetupError(f"{path.name}: a one-view file; need --kind single-image")
    if one_view and view not in VIEW_NAMES:
        raise SetupError(
            f"{path.name}: a one-view file does not say which view it is for; need --view, one of {VIEW_NAMES}"
        )
    tensors = _one_view(state, view or "") if one_view else _four_views(state, kind, path)
    first = next((t for key, t in tensors.items() if key.endswith("first_conv.weight")), None)
    if first is None or first.ndim != 4 or first.shape[1] not in (1, 3):
        raise SetupError(f"{path.name}: no first convolution with 1 or 3 channels; need a {kind} file")
    exam = ExamNetwork(
        wiring=_wiring(kind),
        heatmaps=first.shape[1] == 3,
        width=first.shape[0],
        views=(view,) if one_view and view else VIEW_NAMES,
    )
    fit_tensors(build_exam(exam), tensors, origin=path.name)
    patch_network, patch_tensors = _bundled_patch(patch, path) if exam.heatmaps else (None, None)
    card = Card(name=name, exam=exam, patch=patch_network, input=NYU_INPUT, training=training, licence=licence)
    return save_weights(out, card, exam=tensors, patch=patch_tensors)


def read_state(path: Path) -> dict[str, Tensor]:
    """The tensors of an upstream file, without the wrapper key that some have. Raises SetupError."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise SetupError(f"{path}: cannot be read: {error.strerror}") from error
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise SetupError(
            f"{path.name}: not a file of plain tensors ({type(error).__name__}); nothing was loaded"
        ) from error
    state = content.get("model", content) if isinstance(content, Mapping) else None
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise SetupError(f"{path.name}: found a {type(content).__name__}; need a dictionary of tensors")
    return {str(key): value for key, value in state.items()}


def _origin(path: Path) -> tuple[Training, str]:
    """(training, licence) of a file of the release, or of one whose origin nobody can tell."""
    if git_blob_id(path) in {file.git_blob_id for file in NYU.files}:
        return NYU_TRAINING, NYU_LICENCE
    unknown = f"unknown: {path.name} is in the format of the upstream release, but is none of its files"
    return Training(trained=None, data=unknown), "unknown: ask whoever made the file"


def _wiring(kind: Kind) -> WiringName:
    if kind == "patch":
        raise ValueError("a patch network has no wiring")
    return kind


def _patch_classes(state: Mapping[str, Tensor], path: Path) -> tuple[str, ...]:
    outputs = state.get("classifier.weight")
    if outputs is None or outputs.shape[0] != 4:
        raise SetupError(f"{path.name}: no classifier of 4 classes; need a patch network file")
    return "malignant", "benign", "other_2", "other_3"  # the order of the last two is not published


def _four_views(state: Mapping[str, Tensor], kind: Kind, path: Path) -> dict[str, Tensor]:
    """Our names for a four-view file; the aliases of the two columns are checked to be aliases and dropped."""
    tensors: dict[str, Tensor] = {}
    rows = 2 if kind == "single-image" else 4
    for key, value in state.items():
        part, _, rest = key.partition(".")
        if part == "four_view_resnet":
            column, _, layer = rest.partition(".")
            angle = column[-3:] if column.endswith("mlo") else column[-2:]
            if not torch.equal(value, state[f"four_view_resnet.{angle}.{layer}"]):
                raise SetupError(f"{path.name}: {key} differs from the column that left and right views share")
            tensors[f"columns.{angle}.{layer}"] = value
        elif part.startswith("fc1_"):
            tensors[f"head_layers.{_head(part[4:])}.fc1.{rest}"] = value
        elif part.startswith("output_layer_"):
            kept = value[: 2 * rows]
            tensors[f"head_layers.{_head(part[13:])}.output.{rest.removeprefix('fc_layer.')}"] = kept
        else:
            raise SetupError(f"{path.name}: unknown tensor {key}; need a {kind} file of the upstream release")
    return tensors


def _head(upstream: str) -> str:
    """cc -> CC, lmlo -> L-MLO."""
    return upstream.upper() if upstream in ("cc", "mlo") else f"{upstream[0].upper()}-{upstream[1:].upper()}"


def _one_view(state: Mapping[str, Tensor], view: str) -> dict[str, Tensor]:
    renames = {
        "view_resnet.": f"columns.{view[2:].lower()}.",
        "fc1.": f"head_layers.{view}.fc1.",
        "output_layer.fc_layer.": f"head_layers.{view}.output.",
    }
    tensors = {}
    for key, value in state.items():
        new = next((to + key.removeprefix(old) for old, to in renames.items() if key.startswith(old)), key)
        tensors[new] = value
    return tensors


def _bundled_patch(folder: Path | None, path: Path) -> tuple[PatchNetwork, dict[str, Tensor]]:
    if folder is None:
        raise SetupError(
            f"{path.name}: an image+heatmaps network needs its patch network; convert that with --kind patch "
            "and give its folder with --patch"
        )
    weights = load_weights(folder)
    if weights.patch is None or weights.card.patch is None:
        raise SetupError(f"{folder}: holds no patch network; need a folder made with --kind patch")
    return weights.card.patch, dict(weights.patch.state_dict())
