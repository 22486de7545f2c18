import { buildTaskNetwork, type Model, NetworkBuilder, type NetworkOptions } from "../../graph/index.js";

/** `small`: four convolutions, enough for pictures of 32 to 96 pixels. `vgg16`: the layers of PatchLine's own predictor, at any width. */
export const PREDICTOR_SHAPES = ["small", "vgg16"] as const;
export type PredictorShape = (typeof PREDICTOR_SHAPES)[number];

export interface CountNetworkOptions extends Partial<Pick<NetworkOptions, "width" | "seed">> {
  readonly shape?: PredictorShape | undefined;
  /** Side of the square input. Default 64. Units: pixels. */
  readonly imageSize?: number | undefined;
  /** How many groups can have patches. Default 3. */
  readonly groups?: number | undefined;
}

/**
 * An untrained network that tells from a picture how many patches its drift takes: class k stands for k + 1.
 *
 * Source: PatchLine's predictor is VGG-16 on 350 pixels. Differs: batch normalization, since nothing is pretrained, and one linear
 * layer behind the mean of the map. The default width of `vgg16` is an eighth.
 */
export function buildCountNetwork({
  shape = "small",
  imageSize = 64,
  groups = 3,
  ...rest
}: CountNetworkOptions = {}): Model {
  const options = { imageSize, classes: groups, ...rest };
  if (shape === "vgg16")
    return buildTaskNetwork({ backbone: "vgg", depth: 16, task: "classification", ...{ width: 1 / 8, ...options } });
  const build = new NetworkBuilder("patch_count", options);
  const channels = [16, 32, 64, 64].map((each) => Math.max(8, Math.round(each * (rest.width ?? 1))));
  const end = channels.reduce(
    (x, each, i) => build.relu(build.norm(`norms.${i}`, build.conv(`convs.${i}`, x, each, 3, { stride: 2 }))),
    build.input,
  );
  return build.classify("classifier", end);
}
