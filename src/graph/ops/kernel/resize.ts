import { LimberError } from "../../../base/index.js";
import { normalizeAxis } from "../geometry.js";
import type { InputsOf } from "../catalog.js";
import type { KernelContext, ReferenceTensor } from "../rule.js";
import { mapRows } from "./gather.js";
import { type Kernels, mismatch, numbersOf } from "./support.js";

type Attributes = KernelContext["attributes"];

/** One resized axis. */
interface Axis {
  readonly axis: number;
  readonly size: number;
  readonly output: number;
  readonly scale: number;
  /** Region of interest in shares of the size, for `tf_crop_and_resize`. */
  readonly roi: readonly [start: number, end: number];
}

/** The input coordinate under an output index, by `coordinate_transformation_mode`. */
const COORDINATES: Readonly<Record<string, (x: number, axis: Axis) => number>> = {
  half_pixel: (x, { scale }) => (x + 0.5) / scale - 0.5,
  half_pixel_symmetric(x, { scale, size, output }) {
    // The output size was rounded down: keep the sampled part in the middle.
    const center = (size / 2) * (1 - output / (size * scale));
    return center + (x + 0.5) / scale - 0.5;
  },
  pytorch_half_pixel: (x, { scale, output }) => (output > 1 ? (x + 0.5) / scale - 0.5 : 0),
  align_corners: (x, { size, output }) => (output === 1 ? 0 : (x * (size - 1)) / (output - 1)),
  asymmetric: (x, { scale }) => x / scale,
  tf_crop_and_resize(x, { size, output, roi: [start, end] }) {
    if (output === 1) return 0.5 * (start + end) * (size - 1);
    return start * (size - 1) + (x * (end - start) * (size - 1)) / (output - 1);
  },
};

const NEAREST: Readonly<Record<string, (x: number) => number>> = {
  round_prefer_floor: (x) => Math.ceil(x - 0.5),
  round_prefer_ceil: (x) => Math.floor(x + 0.5),
  floor: Math.floor,
  ceil: Math.ceil,
};

function choose<T>(table: Readonly<Record<string, T>>, key: string): T {
  const found = Object.hasOwn(table, key) ? table[key] : undefined;
  if (found !== undefined) return found;
  throw new LimberError("op.unsupported", `Resize: one of ${Object.keys(table).join(", ")}, got "${key}"`);
}

/** Interpolation kernels by distance, and how far they reach. Source: Keys 1981 for the cubic one. */
function createFilter(attributes: Attributes, mode: string): { reach: number; weight: (distance: number) => number } {
  const linear = (d: number): number => Math.max(0, 1 - Math.abs(d));
  const a = attributes.float("cubic_coeff_a", -0.75);
  const cubic = (d: number): number => {
    const x = Math.abs(d);
    if (x <= 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
    return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0;
  };
  return choose({ linear: { reach: 1, weight: linear }, cubic: { reach: 2, weight: cubic } }, mode);
}

/** Which input elements make an output element, and how much of each. */
type Mix = readonly (readonly [index: number, weight: number])[];

function mixOf(attributes: Attributes, axis: Axis, x: number): Mix {
  const mode = attributes.string("mode", "nearest");
  const last = axis.size - 1;
  const clamp = (index: number): number => Math.min(Math.max(index, 0), last);
  if (mode === "nearest")
    return [[clamp(choose(NEAREST, attributes.string("nearest_mode", "round_prefer_floor"))(x)), 1]];
  const filter = createFilter(attributes, mode);
  // Antialiasing widens the filter by the factor of the reduction.
  const stretch = attributes.int("antialias", 0) === 1 ? Math.max(1, 1 / axis.scale) : 1;
  const inside = attributes.int("exclude_outside", 0) === 1;
  const mix: (readonly [number, number])[] = [];
  for (let i = Math.ceil(x - filter.reach * stretch); i <= Math.floor(x + filter.reach * stretch); i++) {
    if (!inside || clamp(i) === i) mix.push([clamp(i), filter.weight((i - x) / stretch)]);
  }
  const total = mix.reduce((sum, [, weight]) => sum + weight, 0);
  return mix.map(([index, weight]) => [index, weight / total] as const);
}

const coordinatesOf = (axis: Axis, mode: string): number[] =>
  Array.from({ length: axis.output }, (_, x) => choose(COORDINATES, mode)(x, axis));

/** The linear map of one axis: what each output element is made of. The gradient is its adjoint. */
export function mixesOf(axis: Axis, attributes: Attributes): Mix[] {
  const mode = attributes.string("coordinate_transformation_mode", "half_pixel");
  return coordinatesOf(axis, mode).map((x) => mixOf(attributes, axis, x));
}

function resizeAxis(tensor: ReferenceTensor, axis: Axis, attributes: Attributes): ReferenceTensor {
  const mode = attributes.string("coordinate_transformation_mode", "half_pixel");
  const coordinates = coordinatesOf(axis, mode);
  const mixes = mixesOf(axis, attributes);
  // Only cropping reaches past the image; NaN marks those elements until every axis is done.
  const outside = coordinates.map((x) => mode === "tf_crop_and_resize" && (x < 0 || x > axis.size - 1));
  const [resized] = mapRows(tensor, axis.axis, [axis.output], (row, [out]) => {
    mixes.forEach(
      (mix, i) => (out![i] = outside[i] ? NaN : mix.reduce((sum, [index, weight]) => sum + weight * row[index]!, 0)),
    );
  }) as [ReferenceTensor];
  return resized;
}

const cropsRegion = (attributes: Attributes): boolean =>
  attributes.string("coordinate_transformation_mode", "half_pixel") === "tf_crop_and_resize";

/** Output sizes and scales of the resized axes, `keep_aspect_ratio_policy` applied. */
export function resolveAxes(
  {
    X,
    roi,
    scales,
    sizes,
  }: Omit<InputsOf<"Resize", ReferenceTensor>, "X"> & { readonly X: Pick<ReferenceTensor, "dims"> },
  attributes: Attributes,
): Axis[] {
  const axes = (attributes.ints("axes") ?? X.dims.map((_, i) => i)).map((axis) => normalizeAxis(axis, X.dims.length));
  const wanted = sizes && sizes.data.length > 0 ? numbersOf(sizes) : undefined;
  const given = scales && scales.data.length > 0 ? numbersOf(scales) : undefined;
  if ((wanted ?? given)?.length !== axes.length)
    throw mismatch("Resize: sizes or scales for each axis", X.dims, wanted ?? given ?? []);
  const ratios = axes.map((axis, i) => (wanted ? wanted[i]! / X.dims[axis]! : given![i]!));
  const crops = cropsRegion(attributes);
  if (crops && roi?.data.length !== 2 * axes.length)
    throw mismatch("Resize: a region for each axis", X.dims, roi?.dims ?? []);
  const policy = attributes.string("keep_aspect_ratio_policy", "stretch");
  const common =
    policy === "not_larger" ? Math.min(...ratios) : policy === "not_smaller" ? Math.max(...ratios) : undefined;
  return axes.map((axis, i) => {
    const size = X.dims[axis]!;
    const scale = wanted && common !== undefined ? common : ratios[i]!;
    const region: Axis["roi"] = crops ? [roi!.data[i]!, roi!.data[i + axes.length]!] : [0, 1];
    if (wanted)
      return {
        axis,
        size,
        scale,
        roi: region,
        output: common === undefined ? wanted[i]! : Math.floor(size * scale + 0.5),
      };
    // The product is rounded to float32 before the floor, as in ONNX Runtime: 10 × 0.7 is 7 although float32(0.7) < 0.7.
    return { axis, size, scale, roi: region, output: Math.floor(Math.fround(size * (region[1] - region[0]) * scale)) };
  });
}

export const resizeKernels: Kernels<"Resize"> = {
  /** Axis after axis, since every interpolation of the op is separable. Source: ONNX operator reference, Resize 19. */
  Resize(inputs, { attributes }) {
    const crops = cropsRegion(attributes);
    const axes = resolveAxes(inputs, attributes).filter(
      ({ size, output, scale }) => crops || size !== output || scale !== 1,
    );
    const resized = axes.reduce((tensor, axis) => resizeAxis(tensor, axis, attributes), inputs.X);
    if (!crops) return resized;
    const fill = attributes.float("extrapolation_value", 0);
    return { ...resized, data: resized.data.map((value) => (Number.isNaN(value) ? fill : value)) };
  },
};
