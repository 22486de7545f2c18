import { z } from "zod";
import { defineMethod } from "../method.js";

/** The model as it is: the line that every method has to beat. */
export const source = defineMethod({
  name: "source",
  summary: "the model unchanged",
  labels: "none",
  options: z.strictObject({}),
  plan: () => ({ statistics: "fixed" }),
});
