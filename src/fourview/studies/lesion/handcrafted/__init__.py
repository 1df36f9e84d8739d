"""Numbers of a lesion that people thought of, classifiers on them, and their page."""
