import type { ImageBlock } from "./block.js";

/**
 * Keeps blocks that were loaded, up to a number of bytes; the one used longest ago leaves first.
 * Images handed out before keep their memory alive, so leaving is always safe.
 */
export class BlockCache {
  private readonly entries = new Map<string, { block: Promise<ImageBlock>; sizeBytes: number }>();
  private heldBytes = 0;

  constructor(private readonly maximumBytes: number) {}

  get(key: string, sizeBytes: number, load: () => Promise<ImageBlock>): Promise<ImageBlock> {
    const entry = this.entries.get(key) ?? { block: load(), sizeBytes: 0 };
    this.entries.delete(key); // and set again: a Map keeps the order of insertion, so the front is the oldest
    this.entries.set(key, entry);
    this.heldBytes += sizeBytes - entry.sizeBytes;
    entry.sizeBytes = sizeBytes;
    for (const [oldest, { sizeBytes: freedBytes }] of this.entries) {
      if (this.heldBytes <= this.maximumBytes || oldest === key) break;
      this.entries.delete(oldest);
      this.heldBytes -= freedBytes;
    }
    return entry.block;
  }
}
