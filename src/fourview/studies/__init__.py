"""Whole studies that use the package: transfer/ (small data, frozen features). Nothing imports them but the verbs."""
