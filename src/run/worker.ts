/** The worker thread of a machine in Node.js. */
import { parentPort, workerData } from "node:worker_threads";
import { Engine } from "./engine.js";
import { createNodeRuntime } from "./node-runtime.js";
import type { Envelope } from "./protocol.js";
import type { Provider } from "./provider.js";

/** What a worker starts with. It takes models as bytes: the graph library would cost it 18 MB. */
export interface WorkerData {
  readonly provider: Provider;
  /** `NEGATE`, to try out the binding with. */
  readonly probe: Uint8Array;
}

const { provider, probe } = workerData as WorkerData;
const engine = new Engine(await createNodeRuntime(provider, probe));

parentPort!.on("message", (envelope: Envelope) => {
  void engine.serve(envelope).then((reply) => parentPort!.postMessage(reply));
});
