"""Benign or malignant: networks, baselines and signs of outlined lesions."""
