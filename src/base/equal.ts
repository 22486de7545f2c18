/**
 * Whether two values are the same plain data: numbers (NaN equals itself), text, lists, typed arrays, maps and objects of such. A property
 * that is undefined counts as missing. Cost: nothing for what both share.
 */
export function isEqual(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (Object.getPrototypeOf(a) !== Object.getPrototypeOf(b)) return false;
  if (isList(a)) {
    const other = b as ArrayLike<unknown>;
    if (a.length !== other.length) return false;
    for (let i = 0; i < a.length; i++) if (!isEqual(a[i], other[i])) return false;
    return true;
  }
  if (a instanceof Map) {
    const other = b as ReadonlyMap<unknown, unknown>;
    return a.size === other.size && [...a].every(([key, value]) => other.has(key) && isEqual(value, other.get(key)));
  }
  const [ours, theirs] = [a as Record<string, unknown>, b as Record<string, unknown>];
  return [...new Set([...Object.keys(ours), ...Object.keys(theirs)])].every((key) => isEqual(ours[key], theirs[key]));
}

const isList = (value: object): value is ArrayLike<unknown> =>
  Array.isArray(value) || (ArrayBuffer.isView(value) && !(value instanceof DataView));
