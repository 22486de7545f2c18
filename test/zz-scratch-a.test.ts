import { test } from "vitest";
import { readFileSync } from "node:fs";
import { readModel } from "../src/graph/index.js";
import { createMachine, Predictor } from "../src/run/node.js";
import { evaluateTask } from "../src/adapt/index.js";
import { detection, parsePreprocessing, writeTaskRecord } from "../src/vision/index.js";
import { cocoPhotos } from "./helpers/real/data.js";
test.skip("fd", async () => {
  const data = process.env.LIMBER_DATA!;
  const model = readModel(readFileSync(`${data}/det_models/fastestdet_coco_352_bn.onnx`));
  const machine = createMachine();
  const p = await Predictor.create(machine, model, {threads: 1});
  const { domains, classes } = await cocoPhotos(data);
  const preprocessing = parsePreprocessing({ color: "BGR", scale: 1 / 255, width: 352, height: 352 });
  const head = detection.open(writeTaskRecord(model, { task: "detection", classes, head: { kind: "fastestdet" } }), preprocessing);
  const { value, details, skipped } = await evaluateTask(p, head, domains[0]!, { batchSize: 16, preprocessing });
  console.log(value, details.mAP, details.mAP75, skipped);
}, 300000);
import { train } from "../src/adapt/index.js";
import { buildTaskNetwork } from "../src/graph/index.js";
import { createWorld } from "../src/vision/index.js";
test.each(["centre", "ssd"] as const)("learn %s", async (kind) => {
  const world = createWorld({ seed: 1, size: 32, digits: [1, 1] });
  const [d] = world.domains;
  const data = world.dataset("train", 640, [d!]).domains[0]!;
  const check = world.dataset("test", 128, [d!]).domains[0]!;
  const model = buildTaskNetwork({ backbone: "resnet", task: "detection", imageSize: 32, classes: 10, seed: 1, head: kind });
  const preprocessing = parsePreprocessing({ width: 32, height: 32 });
  const head = detection.open(model, preprocessing);
  const t = Date.now();
  const r = await train(model, data, { preprocessing, head, epochs: 16, batchSize: 32, optimizer: "adam", learningRate: 5e-3, threads: 1, seed: 1,
    onProgress: (p) => { if (p.done === p.total || p.done % 40 === 0) console.log(kind, p.stage, p.done, p.note); } });
  console.log("seconds", (Date.now() - t) / 1000, Object.keys(r));
  const p = await Predictor.create(createMachine(), r.model, { threads: 1 });
  const s = await evaluateTask(p, head, check, { batchSize: 32, preprocessing });
  console.log(kind, s.value, s.details.mAP, s.skipped, JSON.stringify(s.details).slice(0, 400));
}, 600000);
