"""Boxes, and their average precision by pycocotools: test/fixtures/detection/coco.json.

    pip install pycocotools
    python peers/coco_fixtures.py
"""

import json
import pathlib

import numpy
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

AREAS = ["all", "small", "medium", "large"]
OUTPUT = pathlib.Path(__file__).parent.parent / "test" / "fixtures" / "detection" / "coco.json"


def draw_box(draw, size, whole):
    width, height = draw.uniform(2, size * 0.6, 2)
    box = [draw.uniform(0, size - width), draw.uniform(0, size - height), width, height]
    return [float(numpy.round(v) if whole else numpy.round(v, 2)) + (1 if whole and i > 1 else 0) for i, v in enumerate(box)]


def draw_case(seed, images, classes, size, whole=False, most=8, crowd=0.1, tied=False):
    """Objects, and boxes near some of them; every fifth image is without objects, every seventh without boxes."""
    draw = numpy.random.default_rng(seed)
    truth, found = [], []
    for image in range(1, images + 1):
        objects = [] if image % 5 == 0 else [draw_box(draw, size, whole) for _ in range(draw.integers(1, most))]
        for box in objects:
            label = int(draw.integers(classes))
            truth.append({"image": image, "label": label, "box": box, "crowd": bool(draw.random() < crowd)})
            for _ in range(draw.integers(0, 3)):
                near = numpy.array(box) + draw.normal(0, 0.08, 4) * [box[2], box[3], box[2], box[3]]
                near[2:] = numpy.maximum(near[2:], 1)
                wrong = draw.random() < 0.15
                found.append({"image": image, "label": int(draw.integers(classes)) if wrong else label, "box": near})
        for _ in range(draw.integers(0, 3)):
            found.append({"image": image, "label": int(draw.integers(classes)), "box": draw_box(draw, size, whole)})
    found = [each for each in found if each["image"] % 7]
    for each in found:
        each["box"] = [float(v) for v in numpy.round(each["box"], 0 if whole else 2)]
        each["score"] = float(numpy.round(draw.random(), 1 if tied else 3))
    return {"images": images, "classes": classes, "truth": truth, "found": found}


def measure(case):
    truth = COCO()
    truth.dataset = {
        "images": [{"id": i + 1} for i in range(case["images"])],
        "categories": [{"id": k} for k in range(case["classes"])],
        "annotations": [
            {"id": i + 1, "image_id": t["image"], "category_id": t["label"], "bbox": t["box"],
             "area": t["box"][2] * t["box"][3], "iscrowd": int(t["crowd"])}
            for i, t in enumerate(case["truth"])
        ],
    }
    truth.createIndex()
    found = truth.loadRes([
        {"image_id": f["image"], "category_id": f["label"], "bbox": f["box"], "score": f["score"]} for f in case["found"]
    ])
    evaluation = COCOeval(truth, found, "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    precision = evaluation.eval["precision"][:, :, :, :, -1]  # thresholds, recalls, classes, areas; -1 without objects
    figures = {}
    for a, area in enumerate(AREAS):
        figures[area] = {
            str(k): [round(float(v), 9) for v in precision[:, :, k, a].mean(axis=1)]
            for k in range(case["classes"])
            if precision[0, 0, k, a] >= 0
        }
    return figures


def main():
    cases = {
        "a few classes": draw_case(1, 12, 3, 120),
        "objects of all sizes": draw_case(2, 10, 2, 400),
        "whole numbers and equal scores": draw_case(3, 14, 2, 40, whole=True, tied=True),
        "many crowds": draw_case(4, 10, 2, 120, crowd=0.5),
        "more than 100 boxes": draw_case(5, 2, 1, 60, most=220),
        "a class without objects": draw_case(6, 3, 5, 100, most=3),
    }
    result = {name: {**case, "precisions": measure(case)} for name, case in cases.items()}
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    rows = json.dumps(result, separators=(",", ":"))
    OUTPUT.write_text(rows + "\n")
    print(f"{OUTPUT}: {len(rows)} bytes", {n: (len(c["truth"]), len(c["found"])) for n, c in cases.items()})


if __name__ == "__main__":
    main()
