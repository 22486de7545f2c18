/**
 * Lets all else run that waits: answers of workers, timers. Between the parts of long work, so that predictions asked of the same thread are
 * not held up by the whole of it.
 */
export const nextTurn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve));

/** Does work in parts, each in a turn of its own. Rejects as the work throws. */
export async function inTurns<T>(parts: Iterator<undefined, T, undefined>): Promise<T> {
  for (;;) {
    await nextTurn();
    const { done, value } = parts.next();
    if (done) {
      await nextTurn();
      return value;
    }
  }
}
