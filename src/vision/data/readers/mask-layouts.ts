import { join } from "node:path";
import { stemOf, readPlace, type Place } from "../../files.js";
import { IGNORED } from "../truth.js";
import { isImage } from "./folders.js";

/** A picture, the mask that belongs to it, and where it comes from. */
export interface Pair {
  readonly image: string;
  readonly mask: string;
  readonly domain: string;
  readonly tags: readonly string[];
}

/** One way in which data sets lay out pictures and masks. */
export interface MaskLayout {
  /** Opens no file. */
  detects(place: Place): Promise<boolean>;
  pairs(place: Place): Promise<Pair[]>;
  /** Names of the classes, where the layout is that of a data set with its own. */
  readonly classes?: readonly string[];
  /** Which class a stored number is, where it is not the number itself. */
  readonly classOf?: (stored: number) => number;
}

const has = ({ folders }: Place, ...names: readonly string[]): boolean => names.every((name) => folders.includes(name));
const isMask = (file: string): boolean => file.toLowerCase().endsWith(".png");

/** `images/NAME.jpg` and `labels/NAME.png`, as CamVid is often handed on. */
const folders: MaskLayout = {
  detects: async (place) =>
    has(place, "images", "labels") && (await readPlace(join(place.path, "labels"))).files.some(isMask),
  pairs: async ({ path }) =>
    (await readPlace(join(path, "images"))).files.filter(isImage).map((file) => ({
      image: join(path, "images", file),
      mask: join(path, "labels", `${stemOf(file)}.png`),
      domain: stemOf(path),
      tags: [],
    })),
};

/** `JPEGImages` and `SegmentationClass`: the pictures that have a mask. Source: PASCAL VOC 2012. */
const voc: MaskLayout = {
  detects: (place) => Promise.resolve(has(place, "JPEGImages", "SegmentationClass")),
  pairs: async ({ path }) =>
    (await readPlace(join(path, "SegmentationClass"))).files.filter(isMask).map((file) => ({
      image: join(path, "JPEGImages", `${stemOf(file)}.jpg`),
      mask: join(path, "SegmentationClass", file),
      domain: stemOf(path),
      tags: [],
    })),
  classes: [
    ...["background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"],
    ...["diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"],
  ],
};

const CITYSCAPES_CLASSES = [
  ...["road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign", "vegetation"],
  ...["terrain", "sky", "person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle"],
];
/** The `labelIds` of these classes; all others are not evaluated. */
const CITYSCAPES_IDS = [7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33];

/** `leftImg8bit/SPLIT/CITY/…` and `gtFine/SPLIT/CITY/…`: a split is a domain, a city a tag. Source: Cordts et al. 2016, arXiv:1604.01685. */
const cityscapes: MaskLayout = {
  detects: (place) => Promise.resolve(has(place, "leftImg8bit", "gtFine")),
  async pairs({ path }) {
    const ending = "_leftImg8bit.png";
    const found: Pair[] = [];
    for (const domain of (await readPlace(join(path, "leftImg8bit"))).folders) {
      for (const city of (await readPlace(join(path, "leftImg8bit", domain))).folders) {
        const { files } = await readPlace(join(path, "leftImg8bit", domain, city));
        for (const file of files.filter((name) => name.endsWith(ending))) {
          const mask = join(path, "gtFine", domain, city, file.replace(ending, "_gtFine_labelIds.png"));
          found.push({ image: join(path, "leftImg8bit", domain, city, file), mask, domain, tags: [`city=${city}`] });
        }
      }
    }
    return found;
  },
  classes: CITYSCAPES_CLASSES,
  classOf: (stored) => (CITYSCAPES_IDS.includes(stored) ? CITYSCAPES_IDS.indexOf(stored) : IGNORED),
};

export const MASK_LAYOUTS: readonly MaskLayout[] = [cityscapes, voc, folders];
