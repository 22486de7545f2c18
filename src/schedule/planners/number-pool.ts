/** Numbers in one array: a room of its own for each table of thousands of apps costs more than filling the tables. */
const POOLED = 1 << 16;

/** Cuts zeros off large arrays, piece by piece; all pieces live as long as one of their array does. */
export class NumberPool {
  private block = new Float64Array(0);
  private used = 0;

  take(length: number): Float64Array {
    if (this.used + length > this.block.length) {
      this.block = new Float64Array(Math.max(length, POOLED));
      this.used = 0;
    }
    return this.block.subarray(this.used, (this.used += length));
  }
}
