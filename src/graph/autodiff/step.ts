import type { Tensor } from "../../base/index.js";
import type { Model, ValueInfo } from "../ir/index.js";
import type { Choose } from "../ops/index.js";
import type { Descent } from "./descent.js";
import type { Loss, Targets } from "./losses.js";
import type { Statistics } from "./normalization.js";
import type { Optimizer } from "./optimizers.js";
import type { Rows } from "./rows.js";

/** One tensor that goes into the step and comes out changed. */
export interface StateSlot {
  readonly input: string;
  readonly output: string;
  /** `parameter` and `statistic` belong to the model; `optimizer`, `counter` and what losses carry (`carried`) only to training. */
  readonly role: "parameter" | "statistic" | "optimizer" | "counter" | "carried";
  /** For parameters and statistics: the initializer of the model that the slot continues. */
  readonly initializer?: string;
  /** For what an optimizer keeps of a parameter: which one, and its name for the array. */
  readonly buffer?: { readonly name: string; readonly parameter: string };
  /** For parameters that train in part: where the rows of the slot belong in the initializer. */
  readonly rows?: Rows;
  readonly initial: Tensor;
}

/** A weight of the model that does not train, or the rows of it that do not, as an input of the step. */
export interface Constant {
  readonly input: string;
  readonly initializer: string;
  readonly rows?: Rows | undefined;
}

/** A training step as plain ONNX: state and a batch in, state and measurements out. */
export interface Step {
  readonly model: Model;
  readonly state: readonly StateSlot[];
  readonly batch: number;
  readonly targets: Targets;
  /** What the update starts from: the gradients as they are before clipping. */
  readonly gradients: readonly string[];
  /** The label of places that the loss does not count. */
  readonly ignoredLabel?: number;
  readonly inputs: {
    /** The image; or, in a step that starts later (`modelFrom`), the values that it starts from. */
    readonly data: readonly ValueInfo[];
    readonly targets?: ValueInfo;
    /** Scalar float inputs. */
    readonly learningRate?: string;
    readonly statisticsMomentum?: string;
    /** What losses and optimizers ask for besides, by their names for it. */
    readonly extra: ReadonlyMap<string, ValueInfo>;
  };
  /** Parameters that are inputs and do not change here (`StepOptions.reads`): they are state of another step. */
  readonly reads: readonly Pick<StateSlot, "input" | "initializer" | "rows" | "initial">[];
  /** Of an exchangeable step: the weights that it reads and does not change. */
  readonly constants: readonly Constant[];
  readonly outputs: {
    /** The model's output before the update. */
    readonly prediction: string;
    readonly loss?: string;
    /** Euclidean norm over all gradients, before clipping; not finite when any gradient is. */
    readonly gradientNorm?: string;
    /** A scalar that is 0 where the update is to be left out. */
    readonly applies?: string;
    /** What the loss reports besides, by its names for it. */
    readonly measures: ReadonlyMap<string, string>;
    /** Values of the model, by their names. */
    readonly observed: readonly string[];
  };
}

/** What is trained and how. Without `train` the step only predicts (and tracks statistics). */
export interface StepOptions {
  readonly statistics: Statistics;
  readonly train?: TrainOptions;
  /** Values of the model that are outputs beside the prediction. */
  readonly observe?: readonly string[] | undefined;
  /** Parameters that are inputs although nothing trains. */
  readonly reads?: Pick<TrainOptions, "parameters" | "rows"> | undefined;
  /**
   * Whether weights that do not train are inputs too (`Step.constants`), so that those of another model of the same architecture can take
   * their place. The runtime then folds and packs none of them. Default: they are constants of the step.
   */
  readonly exchangeable?: boolean | undefined;
  /** Picks among the formulations of trained convolutions; default: rules that suit most machines. */
  readonly choose?: Choose | undefined;
}

export interface TrainOptions {
  readonly loss: Loss;
  readonly optimizer: Optimizer;
  /** How the gradients come about; default: those of the loss at the parameters. */
  readonly descent?: Descent | undefined;
  /** Initializers to train. */
  readonly parameters: readonly string[];
  /** Largest Euclidean norm over all gradients; as `torch.nn.utils.clip_grad_norm_`. */
  readonly clipNorm?: number;
  /** Factors on the learning rate by parameter. */
  readonly scale?: ReadonlyMap<string, number>;
  /**
   * Which output channels of a parameter train, where not all do: the others stay constant to the byte, and only the
   * gradient, state and update of these are computed. `leadingRows(model, 0.2)` gives the first 20 % of every weight.
   */
  readonly rows?: ReadonlyMap<string, readonly number[]> | undefined;
}
