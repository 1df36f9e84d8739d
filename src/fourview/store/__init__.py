"""A data set prepared once: a manifest, the breasts of all images as 16-bit crops, lesion masks, and honest splits.

prepare    data set -> store: select, read, crop, cut masks, write; on one machine or a Dask cluster
store      Store.open(path): the manifest, crops, patches, masks
manifest   the columns of manifest.parquet, checked;   selection  which images are taken, counted rule by rule
labels     BI-RADS classes, and labels of breasts from the words of pathology reports
image_file masks prepare_image spread lock   one image as a file; outlines -> masks; one image's work; where it runs
"""
