"""Fine-tuning: networks for photographs, or of one view, learn what few images of breasts say; and one from nothing."""
