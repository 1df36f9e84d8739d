"""fourview lesion words."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fourview.cli.lesion import lesion_app


@lesion_app.command()
def words(
    tables: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER", help="CBIS-DDSM's four tables, or mammographic_masses.data of the UCI set; no images."
        ),
    ],
    *,
    out: Annotated[Path, typer.Option(help="Output folder: new or empty.")],
) -> None:
    """What radiologists' words say of lesions without their pixels: the bar for networks that see pixels alone."""
    from fourview.report.document_folder import check_report_folder, write_document
    from fourview.studies.lesion.descriptors.document import describe_tables
    from fourview.terminal import open_console, show_document

    check_report_folder(out)
    document = describe_tables(tables)
    write_document(out, document)
    show_document(open_console(), document, out)
