import { dirname, isAbsolute, relative, resolve, sep } from "node:path";
import { CsvError, parse } from "csv-parse";
import { LimberError, throwIfAborted } from "../../../base/index.js";
import { readBytes, stemOf } from "../../files.js";
import { findClasses } from "../classes.js";
import { fileDomain } from "../file-domain.js";
import type { DatasetReader } from "./reader.js";

interface Row {
  readonly path: string;
  readonly label: string;
  readonly tags: readonly string[];
}

/**
 * A table with the columns `path`, `label` and perhaps `domain`; every further column becomes a tag, `light=dusk`.
 * Paths are relative to the manifest and stay in its folder unless `allowOutside`; domains come in order of appearance.
 * Labels are names of classes, or numbers if all of them are.
 */
export const csvReader: DatasetReader = {
  format: "csv",
  reads: "a .csv manifest with the columns path,label[,domain]",
  detects: ({ path, isFolder }) => !isFolder && path.endsWith(".csv"),

  async read({ path }, context) {
    const fail = (expected: string): LimberError => new LimberError("data.invalid", `${path}: ${expected}`, { path });
    const folder = dirname(path);
    const checkHeader = (header: string[]): string[] => {
      const missing = ["path", "label"].find((column) => !header.includes(column));
      if (missing !== undefined)
        throw fail(
          `a header with the columns path,label expected, got "${header.join(",")}"; name the columns in the first line`,
        );
      return header;
    };
    const domains = new Map<string, Row[]>();
    let count = 0;
    try {
      const table = parse(Buffer.from(await readBytes(path, context.limits.fileBytes)), {
        bom: true,
        columns: checkHeader,
        skip_empty_lines: true,
        trim: true,
      });
      for await (const record of table as AsyncIterable<Record<string, string>>) {
        throwIfAborted(context.signal);
        const { path: file = "", label = "", domain = stemOf(path), ...others } = record;
        count++;
        if (file === "" || label === "")
          throw fail(`a path and a label in every row expected, got none in row ${count}; fill it in`);
        if (count > context.limits.samples)
          throw new LimberError(
            "limit.exceeded",
            `${path}: at most ${context.limits.samples} rows expected, got more; split the table`,
            { path },
          );
        const at = resolve(folder, file);
        if (!context.allowOutside && !isInside(folder, at)) {
          throw fail(
            `paths inside of the manifest's folder expected, got "${file}" in row ${count}; move the file or allow paths outside`,
          );
        }
        const tags = Object.entries(others).flatMap(([column, value]) => (value === "" ? [] : [`${column}=${value}`]));
        domains
          .set(domain, domains.get(domain) ?? [])
          .get(domain)!
          .push({ path: at, label, tags });
      }
    } catch (error) {
      if (!(error instanceof CsvError)) throw error;
      throw new LimberError(
        "data.invalid",
        `${path}: a well-formed CSV table expected, got "${error.message}"; correct that line`,
        { path },
        { cause: error },
      );
    }
    const labels = [...domains.values()].flatMap((rows) => rows.map(({ label }) => label));
    const { classes, indexOf } = nameClasses(labels, context.classes ?? (await findClasses(folder)), fail);
    return {
      name: stemOf(path),
      classes,
      domains: [...domains].map(([name, rows]) =>
        fileDomain({
          name,
          paths: rows.map((row) => row.path),
          labels: rows.map((row) => indexOf(row.label)),
          limits: context.limits.image,
          tags: (index) => rows[index]!.tags,
        }),
      ),
    };
  },
};

/** Whether a path stays in a folder. */
export function isInside(folder: string, path: string): boolean {
  const way = relative(resolve(folder), path);
  return way !== "" && way !== ".." && !way.startsWith(`..${sep}`) && !isAbsolute(way);
}

/** Names the classes and finds each label among them: by name, else by number. */
function nameClasses(
  labels: readonly string[],
  given: readonly string[] | undefined,
  fail: (expected: string) => LimberError,
) {
  const isNumber = (label: string): boolean => /^\d{1,5}$/.test(label);
  const names = [...new Set(labels)];
  const numbered = names.every(isNumber);
  const count = numbered ? Math.max(-1, ...names.map(Number)) + 1 : 0;
  const classes = given ?? (numbered ? Array.from({ length: count }, (_, i) => String(i)) : names.sort());
  const positions = new Map(classes.map((name, i) => [name, i]));
  const indexOf = (label: string): number => {
    const index = positions.get(label) ?? (numbered ? Number(label) : classes.length);
    if (index >= classes.length)
      throw fail(
        `labels among ${classes.slice(0, 20).join(", ")} expected, got "${label}"; correct the label or the list of classes`,
      );
    return index;
  };
  return { classes, indexOf };
}
