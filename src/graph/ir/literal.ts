import { base64Decode, base64Encode } from "@bufbuild/protobuf/wire";
import {
  bytesOf,
  createArray,
  type DType,
  isNumeric,
  type NumericArray,
  sizeOf,
  type Tensor,
  type TensorData,
} from "../../base/index.js";
import { shortestFloat } from "./attributes.js";
import { wordText, type Lexer } from "./lexer.js";
import { type Dim, DTYPE_CODES, type TensorType } from "./types.js";
import { encodeText, findText } from "./utf8.js";

/** Tensors of more elements are written as base64, or left out. */
const MOST_DECIMALS = 16;

export function typeText({ dtype, dims }: TensorType): string {
  const axes = dims?.map((d) => (typeof d === "number" ? String(d) : d === "" ? "?" : wordText(d)));
  return `${dtype}[${axes?.join(",") ?? "*"}]`;
}

export function parseType(lexer: Lexer): TensorType {
  const token = lexer.next;
  const dtype = lexer.expectKind("an element type", "word");
  if (!isDType(dtype)) throw lexer.error(`an element type (${Object.keys(DTYPE_CODES).join(", ")})`, token);
  lexer.expect("[");
  if (lexer.takeIf("*")) {
    lexer.expect("]");
    return { dtype, dims: undefined };
  }
  return { dtype, dims: parseList(lexer, "]", () => parseDim(lexer)) };
}

export const isDType = (word: string): word is DType => Object.hasOwn(DTYPE_CODES, word);

function parseDim(lexer: Lexer): Dim {
  if (lexer.takeIf("?")) return "";
  if (lexer.next.kind === "number") return parseInteger(lexer);
  return lexer.expectKind("a size, the name of a dimension or ?", "word", "string");
}

/** Elements between an opening mark, already taken, and the closing one. */
export function parseList<T>(lexer: Lexer, close: string, element: () => T): T[] {
  const list: T[] = [];
  while (!lexer.takeIf(close)) {
    if (list.length > 0) lexer.expect(",");
    list.push(element());
  }
  return list;
}

/** Always recognisable as a float: `1.0`, `-0.0`, `1e-5`, `inf`, `nan`. */
export function floatText(value: number): string {
  const text = numberText(value);
  return /^-?\d+$/.test(text) ? `${text}.0` : text;
}

function numberText(value: number): string {
  if (Number.isNaN(value)) return "nan";
  if (!Number.isFinite(value)) return value < 0 ? "-inf" : "inf";
  return Object.is(value, -0) ? "-0" : String(value);
}

/** The text of a number; `nan` and `inf` look like words. */
export const isNumber = ({ next }: Lexer): boolean =>
  next.kind === "number" || (next.kind === "word" && (next.text === "nan" || next.text === "inf"));

export const takeNumber = (lexer: Lexer): string => {
  if (!isNumber(lexer)) throw lexer.error("a number");
  return lexer.take().text;
};

export const isFloatText = (text: string): boolean => !/^-?\d+$/.test(text);
export const numberOf = (text: string): number =>
  text.endsWith("inf") ? Number(text.replace("inf", "Infinity")) : Number(text);

export function parseInteger(lexer: Lexer): number {
  const token = lexer.next;
  const text = lexer.expectKind("a whole number", "number");
  if (isFloatText(text)) throw lexer.error("a whole number", token);
  return Number(text);
}

/** The elements of a tensor: decimals, or base64 of the little-endian bytes when there are many; `…` when left out. */
export function dataText(tensor: Tensor, weights: "full" | "elided"): string {
  if (!isNumeric(tensor.dtype)) {
    const elements = tensor.data as readonly Uint8Array[];
    return elements.length > MOST_DECIMALS && weights === "elided" ? "…" : `[${elements.map(bytesText).join(", ")}]`;
  }
  if (tensor.data.length > MOST_DECIMALS) return weights === "elided" ? "…" : `base64 ${base64Text(bytesOf(tensor))}`;
  const write = elementText(tensor.dtype);
  return `[${Array.from(tensor.data as ArrayLike<number | bigint>, write).join(", ")}]`;
}

export const base64Text = (bytes: Uint8Array): string => JSON.stringify(base64Encode(bytes));

/** 16-bit floats stay the words they are. */
function elementText(dtype: DType): (value: number | bigint) => string {
  if (dtype === "float16" || dtype === "bfloat16") return (value) => `0x${value.toString(16).padStart(4, "0")}`;
  if (dtype === "float32") return (value) => numberText(shortestFloat(Number(value)));
  return (value) => (typeof value === "bigint" ? String(value) : numberText(value));
}

/** A string element as text if its bytes are text, else as base64. */
function bytesText(bytes: Uint8Array): string {
  const text = findText(bytes);
  return text === undefined ? `base64 ${base64Text(bytes)}` : JSON.stringify(text);
}

/** Reads the type and the data of one tensor; `separator` stands between the two. */
export function parseTensor(lexer: Lexer, separator?: string): Tensor {
  const start = lexer.next;
  const { dtype, dims } = parseType(lexer);
  if (!dims?.every((d) => typeof d === "number" && d >= 0)) throw lexer.error("sizes of 0 or more", start);
  const shape = dims as readonly number[];
  if (separator !== undefined) lexer.expect(separator);
  const place = lexer.next;
  if (lexer.takeIf("…")) throw lexer.error("weights, which this text leaves out; print the model in full", place);
  const count = sizeOf(shape);
  const data = lexer.takeIf("base64") ? decodeArray(lexer, dtype, count) : parseElements(lexer, dtype);
  if (data.length !== count) throw lexer.error(`${count} elements, got ${data.length} in the data`, place);
  return { dtype, dims: shape, data };
}

export function parseBase64(lexer: Lexer): Uint8Array {
  const token = lexer.next;
  const text = lexer.expectKind("base64 in quotes", "string");
  try {
    return base64Decode(text);
  } catch {
    throw lexer.error("base64", token);
  }
}

function decodeArray(lexer: Lexer, dtype: DType, count: number): NumericArray {
  const token = lexer.next;
  const bytes = parseBase64(lexer);
  if (!isNumeric(dtype)) throw lexer.error("a list of strings", token);
  const width = createArray(dtype, 1).byteLength;
  if (bytes.length !== count * width) throw lexer.error(`base64 of ${count * width} bytes`, token);
  const data = createArray(dtype, count);
  new Uint8Array(data.buffer).set(bytes);
  return data;
}

function parseElements(lexer: Lexer, dtype: DType): TensorData {
  lexer.expect("[");
  if (!isNumeric(dtype)) {
    return parseList(lexer, "]", () =>
      lexer.takeIf("base64") ? parseBase64(lexer) : encodeText(lexer.expectKind("a string", "string")),
    );
  }
  const values = parseList(lexer, "]", () => parseElement(lexer, dtype));
  const data = createArray(dtype, values.length);
  for (const [i, value] of values.entries()) data[i] = value;
  return data;
}

/** One element, as the element type holds it. */
function parseElement(lexer: Lexer, dtype: DType): number | bigint {
  const token = lexer.next;
  const text = takeNumber(lexer);
  if (dtype === "float32" || dtype === "float64") return numberOf(text);
  const cell = createArray(dtype, 1);
  const wide = cell instanceof BigInt64Array || cell instanceof BigUint64Array;
  if (/^(?:0x[\da-f]+|-?\d+)$/.test(text)) {
    const value = wide ? BigInt(text) : Number(text);
    cell[0] = value;
    if (cell[0] === value) return value;
  }
  throw lexer.error(`an element of ${dtype}`, token);
}
