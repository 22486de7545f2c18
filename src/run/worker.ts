/** The worker thread of a machine in Node.js. */
import { constants, setPriority } from "node:os";
import { parentPort, workerData } from "node:worker_threads";
import { Engine } from "./engine.js";
import { createNodeRuntime } from "./node-runtime.js";
import { END, type Envelope } from "./protocol.js";
import type { Provider } from "./provider.js";

/** What a worker starts with. It takes models as bytes: the graph library would cost it 18 MB. */
export interface WorkerData {
  readonly provider: Provider;
  /** To the threads of all others; only where a thread has a priority of its own. */
  readonly givesWay: boolean;
  /** `NEGATE`, to try out the binding with. */
  readonly probe: Uint8Array;
}

const { provider, givesWay, probe } = workerData as WorkerData;
// on Linux that is of this thread, and of those that the runtime starts from it
if (givesWay) setPriority(constants.priority.PRIORITY_LOW);
const engine = new Engine(await createNodeRuntime(provider, probe));

parentPort!.on("message", (envelope: Envelope | typeof END) => {
  if (envelope === END) void engine.end().then(() => process.exit());
  else void engine.serve(envelope).then((reply) => parentPort!.postMessage(reply));
});
