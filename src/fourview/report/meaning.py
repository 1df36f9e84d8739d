"""What stands beside every number that is shown to a person."""

from __future__ import annotations

from collections.abc import Sequence

RESEARCH_ONLY = "Research software, not a medical device"


def what_numbers_mean(populations: Sequence[str | None]) -> str:
    """One paragraph that stands below every table of readings.

    populations  what the calibrated numbers beside the scores hold for; None in it: there are no such numbers
    """
    calibrated = [population for population in populations if population is not None]
    if calibrated and len(calibrated) == len(populations):
        scale = (
            "They rank breasts: 0.3 does not mean 30 in 100. Numbers named calibrated, in readings.csv and on exam "
            f"pages, are calibrated for: {'; '.join(dict.fromkeys(calibrated))}. Elsewhere they only rank."
        )
    else:
        scale = "They rank breasts; they are not calibrated, so 0.3 does not mean 30 in 100."
    return (
        "p_malignant and p_benign estimate the probability of a malignant and of a benign finding that was "
        f"biopsied: two questions, p_benign is not 1 - p_malignant. {scale}"
    )


def in_words(seconds: float) -> str:
    """45 s, 12 min, 3 h 20 min."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
