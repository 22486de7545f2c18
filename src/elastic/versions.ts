import { type Feedback, feedBack, type Model, type Surrogate, undoFeedback } from "../graph/index.js";

/** A master that learns from its surrogates and can go back: of each version only what it overwrote is kept. */
export class MasterVersions {
  private readonly history: Feedback[] = [];

  constructor(
    private model: Model,
    /** Versions that can be undone; older ones are final. */
    private readonly depth = 16,
  ) {}

  get current(): Model {
    return this.model;
  }

  /** How many feedbacks can be undone. */
  get undoable(): number {
    return this.history.length;
  }

  /** Brings back what a surrogate learnt: θ_M ← (1-α)·θ_M + α·θ_S for its filters. */
  feed(surrogate: Surrogate, trained: Model, alpha = 0.2): void {
    if (alpha === 0) return;
    const { master, feedback } = feedBack(this.model, surrogate, trained, alpha);
    this.model = master;
    this.history.push(feedback);
    if (this.history.length > this.depth) this.history.shift();
  }

  /** Undoes the last feedback, to the byte. False where there is none. */
  undo(): boolean {
    const last = this.history.pop();
    if (!last) return false;
    this.model = undoFeedback(this.model, last);
    return true;
  }
}
