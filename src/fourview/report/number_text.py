"""Numbers as a person reads them: estimates with their intervals, p values, counts, and any other number."""

from __future__ import annotations

import math

from fourview.evaluate import Estimate

_MOST_DECIMALS = 9


def write_value(estimate: Estimate) -> str:
    """0.881; with more decimals if value and interval are tiny, so that 0.00123 does not become 0.001."""
    return _fixed(estimate.value, _decimals(estimate))


def write_interval(estimate: Estimate) -> str:
    """0.837 to 0.915, or "no interval"."""
    if math.isnan(estimate.low) or math.isnan(estimate.high):
        return "no interval"
    decimals = _decimals(estimate)
    return f"{_fixed(estimate.low, decimals)} to {_fixed(estimate.high, decimals)}"


def write_estimate(estimate: Estimate) -> str:
    """0.881 (0.837 to 0.915)."""
    return f"{write_value(estimate)} ({write_interval(estimate)})"


def write_p(p: float) -> str:
    """p = 0.012, p < 0.001, or "no p value"."""
    if math.isnan(p):
        return "no p value"
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def write_count(count: int, noun: str = "") -> str:
    """1,440 or, with a noun, "1,440 breasts"."""
    if not noun:
        return f"{count:,}"
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {plural(noun)}"


def plural(noun: str) -> str:
    if noun.endswith("s"):
        return noun
    return f"{noun}es" if noun.endswith("ch") else f"{noun}s"


def write_number(number: float) -> str:
    """A number that is no estimate: counts in full, others with four significant digits, – for none."""
    if not math.isfinite(number):
        return _not_finite(number)
    size = abs(number)
    if isinstance(number, int) or (number.is_integer() and size < 1e15):
        text = f"{number:,.0f}" if number else "0"
    elif 1e-5 <= size < 1e15:
        text = f"{number:,.{max(0, 3 - math.floor(math.log10(size)))}f}"
        text = text.rstrip("0").rstrip(".") if "." in text else text
    else:
        text = f"{number:.3e}"
    return text.replace("-", "−")


def _decimals(estimate: Estimate) -> int:
    """Three, or what shows two digits of half the interval (four of the value, if there is none) of a tiny estimate."""
    value = abs(estimate.value)
    half = (estimate.high - estimate.low) / 2
    if not 0 < value < 0.01:
        return 3
    if math.isfinite(half) and half > 0:
        return 3 if half >= 0.01 else min(_MOST_DECIMALS, math.ceil(-math.log10(half)) + 1)
    return min(_MOST_DECIMALS, 3 - math.floor(math.log10(value)))


def _not_finite(number: float) -> str:
    return "–" if math.isnan(number) else "∞" if number > 0 else "−∞"


def _fixed(number: float, decimals: int) -> str:
    if not math.isfinite(number):
        return _not_finite(number)
    text = f"{number:,.{decimals}f}"
    if not text.strip("-0.,"):  # no minus before a zero
        text = text.lstrip("-")
    return text.replace("-", "−")
