/** The web worker of a machine in a browser. */
import { LimberError } from "../../base/index.js";
import { Engine } from "../engine.js";
import type { Envelope, Reply } from "../protocol.js";
import { createWebRuntime, type WebRuntimeOptions } from "./runtime.js";

declare const self: {
  onmessage: ((event: { readonly data: unknown }) => void) | null;
  postMessage(message: Reply): void;
};

/** The first message says how to start; requests follow. */
self.onmessage = ({ data }) => {
  const engine = createWebRuntime(data as WebRuntimeOptions).then((runtime) => new Engine(runtime));
  self.onmessage = (event) => void reply(engine, event.data as Envelope).then((message) => self.postMessage(message));
};

async function reply(engine: Promise<Engine>, envelope: Envelope): Promise<Reply> {
  try {
    return await (await engine).serve(envelope);
  } catch (cause) {
    const error = new LimberError("run.failed", `onnxruntime-web: loaded, got "${String(cause)}"`);
    return { id: envelope.id, error: error.toJSON() };
  }
}
