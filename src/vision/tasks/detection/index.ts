export { type FoundBox, iouOf } from "./boxes.js";
export { detection } from "./detection.js";
export { type AreaName, type BoxFigures, type ComparedBoxes, IOU_THRESHOLDS, measureBoxes } from "./figures.js";
export { createBoxMeter } from "./meter.js";
export { suppress, type SuppressOptions } from "./suppress.js";
