/** An edge of a network; cutting it costs its capacity. */
export type Edge = readonly [from: number, to: number, capacity: number];

interface Arc {
  readonly to: number;
  room: number;
  /** The same edge against its direction. */
  readonly back: number;
}

/**
 * The vertices on the side of `source` in a cheapest cut between it and `sink`; the smallest such set.
 *
 * Every augmentation fills an edge to the last bit, so rounding does not keep it from ending.
 * Cost: O(V·E²) at worst; a graph of 500 nodes takes milliseconds.
 * Source: Edmonds & Karp 1972.
 */
export function minimumCut(edges: readonly Edge[], source: number, sink: number): Set<number> {
  const arcs: Arc[] = [];
  const leaving = new Map<number, number[]>();
  const add = (from: number, to: number, room: number, back: number): void => {
    leaving.set(from, [...(leaving.get(from) ?? []), arcs.length]);
    arcs.push({ to, room, back });
  };
  for (const [from, to, capacity] of edges) {
    add(from, to, capacity, arcs.length + 1);
    add(to, from, 0, arcs.length - 1);
  }
  for (;;) {
    const via = search(arcs, leaving, source, sink);
    if (!via.has(sink)) return new Set(via.keys());
    const path: number[] = [];
    for (let at = sink; at !== source; at = arcs[arcs[path.at(-1)!]!.back]!.to) path.push(via.get(at)!);
    const flow = Math.min(...path.map((arc) => arcs[arc]!.room));
    for (const index of path) {
      const arc = arcs[index]!;
      arc.room -= flow;
      arcs[arc.back]!.room += flow;
    }
  }
}

/** Breadth first along edges with room: which arc led to each vertex; -1 for the source. */
function search(
  arcs: readonly Arc[],
  leaving: ReadonlyMap<number, readonly number[]>,
  source: number,
  sink: number,
): Map<number, number> {
  const via = new Map([[source, -1]]);
  const queue = [source];
  for (let at = 0; at < queue.length && !via.has(sink); at++) {
    for (const index of leaving.get(queue[at]!) ?? []) {
      const { to, room } = arcs[index]!;
      if (room <= 0 || via.has(to)) continue;
      via.set(to, index);
      queue.push(to);
    }
  }
  return via;
}
