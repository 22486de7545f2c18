/** What a page does for a `PageMachine`: takes one request after another from its server, and answers each with the next question. */
import { Engine } from "../engine.js";
import type { Envelope } from "../protocol.js";
import { createWebRuntime } from "../web/runtime.js";
import { packMessage, unpackMessage } from "./message.js";

/** The part of a browser that is used here; all types of the DOM would reach every file of the project. */
declare const location: { readonly search: string };
declare const fetch: (
  url: string,
  options: { readonly method: "POST"; readonly body?: Uint8Array },
) => Promise<{ arrayBuffer(): Promise<ArrayBuffer> }>;

const threads = Number(new URLSearchParams(location.search).get("threads") ?? 1);
const engine = new Engine(await createWebRuntime({ provider: "wasm", threads }));
for (let reply: Uint8Array | undefined; ;) {
  const next = await fetch("/next", { method: "POST", ...(reply && { body: reply }) });
  reply = packMessage(await engine.serve(unpackMessage(await next.arrayBuffer()) as Envelope));
}
