/** Arrays whose numbers travel as bytes. */
const ARRAYS = {
  Int8Array,
  Uint8Array,
  Int16Array,
  Uint16Array,
  Int32Array,
  Uint32Array,
  Float32Array,
  Float64Array,
  BigInt64Array,
  BigUint64Array,
} as const;
type ArrayName = keyof typeof ARRAYS;
type Packed = InstanceType<(typeof ARRAYS)[ArrayName]>;

/** Names that no value of a model has. */
const [MAP, ARRAY] = ["\0map", "\0array"] as const;

/** Where an array lies among the bytes behind the text. */
interface Place {
  readonly [ARRAY]: ArrayName;
  readonly offset: number;
  readonly length: number;
}

const ALIGNMENT = 8;
const aligned = (bytes: number): number => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;

/**
 * A message between a machine and its page as bytes: the length of a text, the text, and the numbers of its typed arrays. It holds what JSON
 * does, typed arrays, and maps with names for keys.
 */
export function packMessage(message: unknown): Uint8Array<ArrayBuffer> {
  const arrays: (readonly [number, Packed])[] = [];
  let size = 0;
  const json = JSON.stringify(message, function (this: Readonly<Record<string, unknown>>, key, given: unknown) {
    const value = ArrayBuffer.isView(this[key]) ? this[key] : given; // what a Buffer writes of itself is its numbers as text
    if (value instanceof Map) return { [MAP]: [...(value as Map<unknown, unknown>)] };
    const array = nameOf(value);
    if (array === undefined) return value;
    const numbers = value as Packed;
    const place: Place = { [ARRAY]: array, offset: size, length: numbers.length };
    arrays.push([size, numbers]);
    size = aligned(size + numbers.byteLength);
    return place;
  });
  const text = new TextEncoder().encode(json);
  const start = aligned(4 + text.length);
  const bytes = new Uint8Array(start + size);
  new DataView(bytes.buffer).setUint32(0, text.length, true);
  bytes.set(text, 4);
  for (const [offset, { buffer, byteOffset, byteLength }] of arrays)
    bytes.set(new Uint8Array(buffer, byteOffset, byteLength), start + offset);
  return bytes;
}

/** What `packMessage` was given; its arrays are views of the bytes, which start at 0 of their buffer. */
export function unpackMessage(buffer: ArrayBuffer): unknown {
  const length = new DataView(buffer).getUint32(0, true);
  const start = aligned(4 + length);
  return JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)), (_, value: unknown) => {
    if (typeof value !== "object" || value === null) return value;
    if (MAP in value) return new Map(value[MAP] as [string, unknown][]);
    if (!(ARRAY in value)) return value;
    const { [ARRAY]: array, offset, length: numbers } = value as Place;
    return new ARRAYS[array](buffer, start + offset, numbers);
  });
}

function nameOf(value: unknown): ArrayName | undefined {
  if (!ArrayBuffer.isView(value)) return undefined;
  // Node's Buffer is a Uint8Array
  return (Object.keys(ARRAYS) as ArrayName[]).find((name) => value instanceof ARRAYS[name]);
}
