"""Accuracy without labels by the authors' code and by SciPy: test/fixtures/drift/estimators.json.

    git clone https://github.com/saurabhgarg1996/ATC_code    (6f1e3365)
    pip install scipy
    python peers/drift_fixtures.py --atc ATC_code

DoC, IM and both ATC thresholds are computed by that code. COT and COTT of github.com/luyuzhe111/COT (392c0ff5) follow its formulas with
scipy's linear_sum_assignment in the place of ot.emd: both are exact. AETTA and its reset follow the formulas of learner/dnn.py in
github.com/taeckyung/AETTA (1315c137), with ln C in the place of its four digits.
"""

import argparse
import json
import pathlib
import sys

import numpy
from scipy.optimize import linear_sum_assignment

OUTPUT = pathlib.Path(__file__).parent.parent / "test" / "fixtures" / "drift" / "estimators.json"


def softmax(logits):
    powers = numpy.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def draw(generator, samples, classes, signal):
    labels = generator.integers(0, classes, samples)
    logits = generator.normal(0, 1, (samples, classes))
    logits[numpy.arange(samples), labels] += signal
    # six digits, so that the file is small and both sides start from the same numbers
    return numpy.round(softmax(1.5 * logits), 6), labels


def assign(rows, labels):
    """Costs by label as ot.emd gives them for one-hot rows, not halved."""
    one_hot = numpy.eye(rows.shape[1])[labels]
    matrix = numpy.abs(one_hot[:, None] - rows[None]).sum(-1)
    picked, columns = linear_sum_assignment(matrix)
    return -matrix[picked, columns]


def label_counts(labels, classes):
    return [int((labels == k).sum()) for k in range(classes)]


def reset_steps(accuracies):
    memory, steps = [], []
    for step, accuracy in enumerate(accuracies):
        memory += [accuracy]
        if accuracy < 20:
            steps, memory = steps + [step], []
        if len(memory) >= 10:
            memory = memory[-10:]
            if sum(memory[-5:]) / 5 + 2 < sum(memory[-10:-5]) / 5:
                steps, memory = steps + [step], []
    return steps


def aetta(batches, classes):
    average, found = None, []
    for labels, passes in batches:
        disagreement = 1 - (passes.argmax(-1) == labels[None]).mean()
        means = passes.mean((0, 1))
        entropy = -(means * numpy.log(means + 1e-6)).sum()
        average = disagreement if average is None else average
        error = max(0.0, min(1 - 1 / classes, disagreement / (entropy / numpy.log(classes)) ** 3))
        average = average * 0.6 + error * 0.4
        found.append(1 - average)
    return found


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--atc", required=True)
    sys.path.insert(0, parser.parse_args().atc)
    from ATC_helper import find_ATC_threshold, get_entropy
    from predict_acc_helper import get_doc, get_im_estimate

    cases = []
    for seed, samples, classes, source_signal, target_signal in [(0, 40, 3, 2.5, 1.0), (1, 60, 10, 3.0, 1.5), (2, 30, 5, 0.5, 0.2)]:
        generator = numpy.random.default_rng(seed)
        source, labels = draw(generator, samples, classes, source_signal)
        target, _ = draw(generator, samples, classes, target_signal)
        correct = source.argmax(1) == labels
        errors = int((~correct).sum())
        most, other = source.max(1), target.max(1)
        thresholds = {}
        for name, scores in {"largest": most, "negentropy": get_entropy(source)}.items():
            thresholds[name] = {
                "atc-code": float(find_ATC_threshold(scores, correct)[1]),
                "cot-code": float(numpy.sort(scores)[errors - 1]),
            }
        costs, moved = assign(source, labels), assign(target, labels)
        threshold = float(numpy.sort(costs)[errors - 1])
        cases.append({
            "source": source.tolist(), "labels": labels.tolist(), "target": target.tolist(),
            "ac": float(other.mean()),
            "doc": float(correct.mean() + get_doc(most, other)),
            "im": float(get_im_estimate(most, other, correct) / 100),
            "thresholds": thresholds,
            "cot": float(1 + moved.mean() / 2),
            "cott": {"threshold": threshold, "accuracy": float((moved >= threshold).mean())},
        })

    generator = numpy.random.default_rng(7)
    batches = []
    for spread in [0.3, 0.6, 1.5]:
        plain = generator.normal(0, 1.5, (8, 4))
        passes = numpy.round(softmax(plain[None] + generator.normal(0, spread, (5, 8, 4))), 6)
        batches.append((plain.argmax(1), passes))
    accuracies = [round(float(a), 3) for a in numpy.concatenate([
        80 + generator.normal(0, 0.5, 12), 74 + generator.normal(0, 0.5, 14), [15], 60 - 0.8 * numpy.arange(16)])]
    fixture = {
        "cases": cases,
        "aetta": {
            "batches": [{"labels": l.tolist(), "passes": p.tolist()} for l, p in batches],
            "accuracies": aetta(batches, 4),
        },
        "resets": {"accuracies": accuracies, "steps": reset_steps(accuracies)},
    }
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    OUTPUT.write_text(json.dumps(fixture, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
