/** A strided view of a matrix inside of an array. */
export interface MatrixView {
  readonly data: Float64Array;
  readonly offset: number;
  readonly rowStride: number;
  readonly columnStride: number;
}

/** Columns per panel: a few rows of a panel stay in the first-level cache. */
const PANEL = 512;

/**
 * C += alpha · A · B, where C holds contiguous rows of `n` from `offset` on.
 * Shapes: A [m, k], B [k, n], C [m, n]. Cost: m·n·k multiply-accumulates, in the outer-product form over rows of B,
 * two rows of C and four of B at a time, so that the innermost loop reads and writes only neighbours.
 */
export function addProduct(
  c: Float64Array,
  offset: number,
  m: number,
  n: number,
  k: number,
  a: MatrixView,
  b: MatrixView,
  alpha = 1,
): void {
  const packed = b.columnStride === 1 ? undefined : new Float64Array(k * Math.min(n, PANEL));
  for (let start = 0; start < n; start += PANEL) {
    const width = Math.min(PANEL, n - start);
    const panel = packed ? packPanel(packed, b, start, width, k) : { ...b, offset: b.offset + start };
    let i = 0;
    for (; i + 1 < m; i += 2) addTwoRows(c, offset + i * n + start, n, width, k, a, i, panel, alpha);
    if (i < m) addOneRow(c, offset + i * n + start, width, k, a, i, panel, alpha);
  }
}

/** Copies columns of B to contiguous rows. */
function packPanel(packed: Float64Array, b: MatrixView, start: number, width: number, k: number): MatrixView {
  for (let j = 0; j < width; j++) {
    let from = b.offset + (start + j) * b.columnStride;
    for (let p = 0; p < k; p++, from += b.rowStride) packed[p * width + j] = b.data[from]!;
  }
  return { data: packed, offset: 0, rowStride: width, columnStride: 1 };
}

function addTwoRows(
  c: Float64Array,
  c0: number,
  n: number,
  width: number,
  k: number,
  a: MatrixView,
  row: number,
  b: MatrixView,
  alpha: number,
): void {
  const { data: aData, rowStride: ar, columnStride: ac } = a;
  const { data: bData, rowStride: br } = b;
  const c1 = c0 + n;
  let p = 0;
  for (; p + 3 < k; p += 4) {
    const u = a.offset + row * ar + p * ac;
    const v = u + ar;
    const u0 = alpha * aData[u]!,
      u1 = alpha * aData[u + ac]!,
      u2 = alpha * aData[u + 2 * ac]!,
      u3 = alpha * aData[u + 3 * ac]!;
    const v0 = alpha * aData[v]!,
      v1 = alpha * aData[v + ac]!,
      v2 = alpha * aData[v + 2 * ac]!,
      v3 = alpha * aData[v + 3 * ac]!;
    const b0 = b.offset + p * br,
      b1 = b0 + br,
      b2 = b1 + br,
      b3 = b2 + br;
    for (let j = 0; j < width; j++) {
      const w0 = bData[b0 + j]!,
        w1 = bData[b1 + j]!,
        w2 = bData[b2 + j]!,
        w3 = bData[b3 + j]!;
      c[c0 + j]! += u0 * w0 + u1 * w1 + (u2 * w2 + u3 * w3);
      c[c1 + j]! += v0 * w0 + v1 * w1 + (v2 * w2 + v3 * w3);
    }
  }
  if (p === k) return;
  const rest = { ...b, offset: b.offset + p * br };
  const tail = { ...a, offset: a.offset + p * ac };
  addOneRow(c, c0, width, k - p, tail, row, rest, alpha);
  addOneRow(c, c1, width, k - p, tail, row + 1, rest, alpha);
}

function addOneRow(
  c: Float64Array,
  c0: number,
  width: number,
  k: number,
  a: MatrixView,
  row: number,
  b: MatrixView,
  alpha: number,
): void {
  const { data: bData } = b;
  for (let p = 0; p < k; p++) {
    const factor = alpha * a.data[a.offset + row * a.rowStride + p * a.columnStride]!;
    const b0 = b.offset + p * b.rowStride;
    for (let j = 0; j < width; j++) c[c0 + j]! += factor * bData[b0 + j]!;
  }
}
