import type { ShapeRule } from "../rule.js";

/** Positions of what is not zero, one column each; how many is seen at run time. */
export const nonZero: ShapeRule = ({ inputs: [x] }) => [{ dtype: "int64", dims: [x?.dims?.length ?? "", ""] }];

/** Rows of [image, class, box]. */
export const nonMaxSuppression: ShapeRule = () => [{ dtype: "int64", dims: ["", 3] }];
