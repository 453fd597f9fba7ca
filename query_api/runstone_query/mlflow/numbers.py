"""Metric values as MLflow's JSON has them."""

import math
import sys


def value_to_json(value: float) -> float | str:
    """NaN is the text ``NaN``; an infinity is the largest number, as MLflow's stores keep it."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return math.copysign(sys.float_info.max, value)
    return value
