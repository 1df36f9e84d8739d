"""A data set prepared once: a manifest, the breasts of all images as 16-bit crops, lesion masks, and honest splits.

prepare    data set -> store: select, read, crop, cut masks, write; on one machine or a Dask cluster
store      Store.open(path): the manifest, crops, patches, masks
manifest   the columns of manifest.parquet;   manifest_rows  what a row may say;   image_row  an image -> its row
selection  which images are taken, counted rule by rule
labels     BI-RADS classes, and labels of breasts from the words of pathology reports
phantom_store  a synthetic population, drawn as a store
image_file masks prepare_image lock writable   one image as a file; outlines -> masks; one image's work; texts
"""
