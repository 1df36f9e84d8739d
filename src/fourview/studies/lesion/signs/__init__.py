"""What lesion networks look at, against what radiologists say."""
