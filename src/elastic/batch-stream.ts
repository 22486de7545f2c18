import { z } from "zod";
import { LimberError, type Random } from "../base/index.js";
import { batches, type Batch, type BatchOptions, type Lessons, type Skipped } from "../vision/index.js";

/** Where a stream stands: the pass over the data, and how many of its samples are behind, unreadable ones included. */
export const streamPosition = z.object({ pass: z.int().min(0), consumed: z.int().min(0) });
export type StreamPosition = z.output<typeof streamPosition>;

export interface BatchStreamOptions extends Pick<BatchOptions, "batchSize" | "preprocessing" | "truth"> {
  /** Called once for each sample that could not be read. */
  readonly onSkipped?: ((skipped: Skipped) => void) | undefined;
}

/** Full batches without end, each pass in a seeded order of its own; it can go on from any place. */
export class BatchStream {
  private place: StreamPosition = { pass: 0, consumed: 0 };
  private readonly told = new Set<number>();
  private reader: AsyncGenerator<Batch, void, undefined> | undefined;

  constructor(
    private readonly lessons: Lessons,
    private readonly options: BatchStreamOptions,
    private readonly random: Random,
  ) {}

  get position(): StreamPosition {
    return this.place;
  }

  seek(position: StreamPosition): void {
    this.place = position;
    this.reader = undefined;
  }

  /** Throws: `data.invalid` where a whole pass has no full batch. */
  async next(): Promise<Batch> {
    const { batchSize, preprocessing, truth } = this.options;
    for (let passes = 0; passes < 2; passes++) {
      this.reader ??= batches(this.lessons.domain, {
        batchSize,
        preprocessing,
        truth,
        indices: this.order().slice(this.place.consumed),
      });
      const { value } = await this.reader.next();
      for (const skipped of value?.skipped ?? []) {
        if (!this.told.has(skipped.index)) this.options.onSkipped?.(skipped);
        this.told.add(skipped.index);
      }
      if (value && value.labels.length === batchSize) {
        const consumed = this.place.consumed + value.labels.length + value.skipped.length;
        this.place = { ...this.place, consumed };
        return value;
      }
      this.seek({ pass: this.place.pass + 1, consumed: 0 });
    }
    const message = `domain "${this.lessons.domain.name}": ${batchSize} readable samples (one batch), got fewer; use a smaller batch`;
    throw new LimberError("data.invalid", message, { domain: this.lessons.domain.name });
  }

  private order(): number[] {
    return this.lessons.order(this.random.fork(`pass ${this.place.pass}`), this.options.batchSize);
  }
}
