import { afterAll, describe, expect, test } from "vitest";
import { createMachine, readModelFile } from "../run/node.js";
import {
  batches,
  createWorld,
  likeliestClasses,
  parsePreprocessing,
  preprocessingFromMetadata,
  TASKS,
  type TaskName,
  taskOf,
  UNLABELLED,
} from "../vision/index.js";
import { Predictor } from "../run/node.js";
import { labelDomain, type Teacher } from "./labels.js";
import { Ledger } from "./ledger.js";

const machine = createMachine();
afterAll(() => machine[Symbol.asyncDispose]());

const domain = createWorld({ seed: 4 }).dataset("test", 6, ["fog"]).domains[0]!;
const openTeacher = async (task: TaskName): Promise<Teacher> => {
  const model = await readModelFile(`models/line/resnet-${task}.onnx`);
  const preprocessing = parsePreprocessing(preprocessingFromMetadata(model.metadata), task);
  return { name: task, model, preprocessing, head: taskOf(model).open(model, preprocessing) };
};
const options = { machine, threads: 1, batchSize: 4, indices: [0, 2, 3] };

describe("a domain that teachers label", () => {
  test("shows what each of them answers, in a form that every task learns from", async () => {
    const teachers = await Promise.all(TASKS.map(openTeacher));
    const ledger = new Ledger();
    const labelled = await labelDomain(domain, teachers, { ...options, ledger });
    expect(ledger.byTechnique("segmentation").labels).toMatchObject({ count: 3 });
    for (const { model, preprocessing, head } of teachers) {
      await using predictor = await Predictor.create(machine, model, { threads: 1 });
      for await (const batch of batches(labelled, { ...options, preprocessing, truth: true })) {
        const { output } = await predictor.predict(batch.images);
        expect(head.encode(batch)).toEqual(head.encode(head.pseudoLabels(output)));
      }
    }
  });

  test("knows nothing of what the data said, nor of samples that nobody labelled", async () => {
    const detector = await openTeacher("detection");
    const labelled = await labelDomain(domain, [detector], options);
    expect([labelled.label(0), (await labelled.truth!(0)).mask]).toEqual([UNLABELLED, undefined]);
    await expect(labelled.truth!(1)).rejects.toMatchObject({ code: "data.invalid" });
  });

  test("believes the first teacher of a task", async () => {
    const teacher = await openTeacher("classification");
    const other: Teacher = {
      ...teacher,
      head: { ...teacher.head, pseudoLabels: ({ dims }) => ({ labels: new Int32Array(dims[0]!).fill(7) }) },
    };
    await using predictor = await Predictor.create(machine, teacher.model, { threads: 1 });
    const reading = { ...options, preprocessing: teacher.preprocessing };
    const { images } = (await batches(domain, reading).next()).value!;
    const answers = [...likeliestClasses((await predictor.predict(images)).output)];
    const labelsOf = async (teachers: readonly Teacher[]) => {
      const labelled = await labelDomain(domain, teachers, options);
      return options.indices.map((index) => labelled.label(index));
    };
    expect([await labelsOf([teacher, other]), await labelsOf([other, teacher])]).toEqual([answers, [7, 7, 7]]);
  });
});
