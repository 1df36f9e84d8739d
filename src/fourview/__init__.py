"""fourview reads screening mammograms: exam in, per-breast readings and heatmaps out."""
