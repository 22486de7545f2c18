import { z } from "zod";

/** The options of methods whose student learns what an averaged teacher says of views. */
export const teacherOptions = {
  /** Whether a view is drawn for a whole batch, as the authors' codes do, or for each image. */
  viewsPer: z.enum(["batch", "image"]).default("batch"),
};

/** And of those that normalize by the batch and export the teacher. */
export const batchTeacherOptions = {
  ...teacherOptions,
  /**
   * Statistics that the teacher is exported with: the mean of those that its passes in the domain saw, or those of the source, where an
   * average is over parameters alone.
   */
  teacherStatistics: z.enum(["own", "source"]).default("own"),
};
