/** What long work reports while it runs. Library code never prints: it calls `onProgress`, and the CLI draws it on stderr. */
export interface Progress {
  /** Stable, short name of the stage, such as "train" or "adapt". */
  readonly stage: string;
  readonly done: number;
  readonly total: number;
  /** One short human sentence, e.g. `epoch 2, loss 0.31`. */
  readonly note?: string;
}

export type OnProgress = (progress: Progress) => void;

/** The part of an `AbortSignal` that Limber uses, so that code without DOM or Node types can name it. */
export interface StopSignal {
  readonly aborted: boolean;
  readonly reason?: unknown;
  addEventListener(type: "abort", listener: () => void, options?: { once?: boolean }): void;
  removeEventListener(type: "abort", listener: () => void): void;
}

/** Options that every long call takes. */
export interface LongCall {
  readonly signal?: StopSignal | undefined;
  readonly onProgress?: OnProgress | undefined;
}
