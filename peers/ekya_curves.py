"""Fixture: Ekya's curves, fitted by scipy as its public microprofiler does. Run: python peers/ekya_curves.py"""

import json
from pathlib import Path

import numpy as np
from scipy.optimize import curve_fit

END_EPOCHS, END_SCORE, EXPECTED, BOOSTERS = 30, 0.95, 0.95, 4
TARGET = Path(__file__).parent.parent / "test/fixtures/ekya-curves.json"


def optimus(x, b0, b1, b2):
    return 1 - (1 / (b0 * x + b1) + b2)


def fit(x, y):
    parameters, _ = curve_fit(optimus, np.array(x, float), np.array(y, float), method="dogbox", absolute_sigma=True)
    return lambda at: optimus(at, *parameters)


def scaled_curve(start, epochs, seen):
    expected = fit([0, END_EPOCHS], [start, END_SCORE])
    end = END_SCORE * min(1.0, seen / (expected(epochs) * EXPECTED))
    scaled = fit([0, END_EPOCHS], [start, end])
    xs = np.linspace(0, END_EPOCHS, BOOSTERS)
    return fit([*xs, 0, END_EPOCHS, epochs], [*scaled(xs), start, end, seen])


def main():
    random = np.random.default_rng(0)
    cases = []
    for _ in range(60):
        start = round(random.uniform(0.05, 0.9), 4)
        seen = round(float(np.clip(start + random.normal(0.1, 0.12), 0.02, 0.98)), 4)
        try:
            scores = scaled_curve(start, 5, seen)(np.array([5.0, 15.0, 30.0]))
        except RuntimeError:
            scores = [start] * 3
        cases.append({"start": start, "seen": seen, "scores": [round(float(score), 7) for score in scores]})
    TARGET.write_text(json.dumps(cases, indent=1) + "\n")


if __name__ == "__main__":
    main()
