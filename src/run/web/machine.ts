import { LimberError } from "../../base/index.js";
import { CheckedMachine } from "../checked.js";
import type { Envelope, Reply } from "../protocol.js";
import type { Provider } from "../provider.js";
import { RemoteMachine, workerEnded } from "../remote.js";
import type { Machine } from "../session.js";
import type { WebRuntimeOptions } from "./runtime.js";

/** Providers of onnxruntime-web. */
export const WEB_PROVIDERS = ["wasm", "webgpu"] as const satisfies readonly Provider[];
export type WebProvider = (typeof WEB_PROVIDERS)[number];

export interface WebMachineOptions extends Omit<WebRuntimeOptions, "provider"> {
  /** What computes; default "wasm". It has to compute a small training step right before its first model. */
  readonly provider?: WebProvider | undefined;
}

/** The part of a browser's Worker that is used here; all types of the DOM would reach every file of the project. */
interface WebWorker {
  onmessage: ((event: { readonly data: Reply }) => void) | null;
  onerror: ((event: { readonly message?: string }) => void) | null;
  postMessage(message: unknown, transfer?: ArrayBuffer[]): void;
  terminate(): void;
}
declare const Worker: new (url: URL, options: { readonly type: "module" }) => WebWorker;

/**
 * Starts a web worker that runs models. Dispose it: the worker lives until then.
 * Throws: `config.invalid` for a provider that browsers do not have; later, at the first session, `provider.refused`.
 */
export function createWebMachine(options: WebMachineOptions = {}): Machine {
  const { provider = "wasm" } = options;
  if (!WEB_PROVIDERS.includes(provider)) {
    const message = `provider: one of ${WEB_PROVIDERS.join(", ")} in a browser, got "${provider as string}"`;
    throw new LimberError("config.invalid", message, { provider });
  }
  return new CheckedMachine(new WebMachine({ ...options, provider }));
}

class WebMachine extends RemoteMachine {
  // Written out: bundlers find workers by this form.
  private readonly worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });

  constructor(options: WebRuntimeOptions) {
    super(options.provider);
    this.worker.onmessage = ({ data }) => this.settle(data);
    this.worker.onerror = ({ message }) => this.end(workerEnded(message ?? "an error while it was loaded"));
    this.worker.postMessage(options);
  }

  protected override post(envelope: Envelope, given: ArrayBuffer[]): void {
    this.worker.postMessage(envelope, given);
  }

  protected override async terminate(): Promise<void> {
    this.worker.terminate();
  }
}
