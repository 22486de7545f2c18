import { LimberError } from "../base/index.js";

/** A refused step leaves the weights as they were: after so many in a row, on other images each, none will be accepted. */
const LIMIT = 25;

/** Counts refused steps in a row, and ends a training that has got stuck. */
export class Refusals {
  private inRow = 0;

  /** @param subject what trains, for the message */
  constructor(private readonly subject: string) {}

  /** Throws: `train.non-finite` */
  observe({ accepted }: { readonly accepted: boolean }): void {
    this.inRow = accepted ? 0 : this.inRow + 1;
    if (this.inRow < LIMIT) return;
    const message = `${this.subject}: losses and gradients that are numbers, got none in ${LIMIT} steps; lower the learning rate (--lr), or check the images`;
    throw new LimberError("train.non-finite", message, { steps: LIMIT });
  }
}
