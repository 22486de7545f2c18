import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { readNpy, readDataset } from "../../vision/index.js";
import { EXIT } from "../command.js";
import { limber, temporaryFolder, writeTinyArrays, writeTinyFolders } from "../harness.test-helper.js";

const folder = temporaryFolder();
const arrays = writeTinyArrays(folder, 6);
const npy = (...path: string[]) => readNpy(readFileSync(join(...path)), path.join("/"));

describe("limber corrupt", () => {
  it("writes arrays of all severities as CIFAR-10-C does, the same for a seed", async () => {
    const write = async (name: string, ...flags: string[]): Promise<string> => {
      const output = join(folder, name);
      const argv = [
        "corrupt",
        "--data",
        arrays,
        "--domains",
        "clean",
        "--output",
        output,
        "--severity",
        "all",
        "--json",
      ];
      const { code, json } = await limber([...argv, ...flags]);
      expect(code).toBe(EXIT.ok);
      expect(json()).toMatchObject({ output, store: "npy", images: 6, skipped: 0, severities: [1, 2, 3, 4, 5] });
      return output;
    };
    const both = await write("both", "--corruption", "fog,shot_noise");
    expect(readdirSync(both).sort()).toEqual(["fog.npy", "labels.npy", "shot_noise.npy"]);
    expect(npy(both, "shot_noise.npy").dims).toEqual([30, 16, 16, 3]);
    expect([...npy(both, "labels.npy").data]).toEqual(Array.from({ length: 30 }, (_, i) => i % 3));
    const alone = await write("alone", "--corruption", "shot_noise");
    expect(npy(alone, "shot_noise.npy").data).toEqual(npy(both, "shot_noise.npy").data);
    const other = await write("other", "--corruption", "shot_noise", "--seed", "1");
    expect(npy(other, "shot_noise.npy").data).not.toEqual(npy(both, "shot_noise.npy").data);
    const { domains } = await readDataset(both, { severity: "each" });
    expect(domains.map(({ name }) => name).slice(0, 2)).toEqual(["fog/1", "fog/2"]);
  });

  it("writes folders of pictures for pictures, and counts those that it skips", async () => {
    const output = join(folder, "pictures-c");
    const pictures = await writeTinyFolders(folder, 2);
    const argv = ["corrupt", "--data", pictures, "--output", output, "--corruption", "contrast", "--severity", "3"];
    const { code, stdout, stderr } = await limber(argv);
    expect(code).toBe(EXIT.ok);
    expect(stdout).toBe(`6 images, 1 corruptions at severity 3: 6 files in ${output}\n1 image skipped\n`);
    expect(stderr).toContain("broken.png");
    expect(readdirSync(join(output, "contrast-3", "green"))).toEqual(["0.png", "1.png"]);
    expect((await readDataset(output)).domains).toMatchObject([{ name: "contrast-3", samples: 6 }]);
  });

  it("keeps several domains apart", async () => {
    const output = join(folder, "apart");
    const argv = ["corrupt", "--data", arrays, "--output", output, "--corruption", "patchline", "--severity", "1"];
    expect((await limber(argv)).code).toBe(EXIT.ok);
    expect(readdirSync(output).sort()).toEqual(["clean", "noisy"]);
    expect(readdirSync(join(output, "noisy")).sort()).toEqual(["labels.npy", "square_snow.npy"]);
  });

  it("refuses a corruption that it does not know, naming those that it does", async () => {
    const argv = ["corrupt", "--data", arrays, "--output", join(folder, "x"), "--corruption", "mist", "--json"];
    const { code, json } = await limber(argv);
    expect(code).toBe(EXIT.usage);
    expect((json().error as { message: string }).message).toMatch(/gaussian_noise.*got "mist"/);
  });
});
