import type { RunTensor } from "../../run/node.js";
import type { BatchTruth } from "../../vision/index.js";
import type { Clock } from "../slice/clock.js";

/** What a camera gives at one time. */
export interface Frame {
  /** Shapes: [N, C, H, W]; N is 1, or more where a camera gives several pictures at once. */
  readonly images: RunTensor;
  /** For the report alone; nothing is decided by it. */
  readonly truth?: BatchTruth | undefined;
  /** Where the camera stands, if it knows: another name than before is a drift. */
  readonly surroundings?: string | undefined;
}

/** A camera. */
export interface FrameSource {
  /** Frames that fall due per second. */
  readonly fps: number;
  /** The frame that is due as the index-th; nothing: no more come. */
  frames(index: number): Frame | undefined | Promise<Frame | undefined>;
}

export interface ServeOptions {
  readonly clock: Clock;
  /** Ends it, once the frame under way is answered. */
  readonly signal: AbortSignal;
  /** Answers a frame. `dueMs` is when it fell due. */
  readonly serve: (frame: Frame, dueMs: number) => Promise<void>;
  /** Frames that were older than one period when their turn came. */
  readonly onDropped?: ((count: number) => void) | undefined;
}

/**
 * Serves the frames of a camera, one at a time, as they fall due. One that is older than a period when its turn comes is dropped, so that
 * there is never a queue. Resolves when no more come, or at the signal. Rejects as the camera or `serve` does.
 */
export async function serveFrames(source: FrameSource, options: ServeOptions): Promise<void> {
  const { clock, signal, serve, onDropped } = options;
  const periodMs = 1000 / source.fps;
  const startMs = clock.now();
  for (let index = 0; !signal.aborted;) {
    const dueMs = startMs + index * periodMs;
    const lateMs = clock.now() - dueMs;
    if (lateMs < 0) {
      await clock.sleep(-lateMs, signal);
      continue;
    }
    const missed = Math.floor(lateMs / periodMs);
    if (missed > 0) onDropped?.(missed);
    index += missed;
    const frame = await source.frames(index);
    if (!frame) return;
    await serve(frame, startMs + index * periodMs);
    index++;
  }
}
