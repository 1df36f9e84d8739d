"""Public data sets and a user's own: what each says about its images, in one form (record).

A set is one module with a DATASET; adding one is that module, a line here and a test.
"""

from fourview.datasets import (
    cbis_ddsm,
    cmmd,
    csaw,
    ddsm,
    embed,
    inbreast,
    mini_ddsm,
    mini_mias,
    own,
    phantom,
    rsna,
    upstream,
    vindr,
)
from fourview.datasets.record import Dataset

DATASETS: dict[str, Dataset] = {
    module.DATASET.name: module.DATASET
    for module in (
        mini_mias,
        inbreast,
        cbis_ddsm,
        ddsm,
        mini_ddsm,
        upstream,
        own,
        phantom,
        vindr,
        cmmd,
        rsna,
        csaw,
        embed,
    )
}
