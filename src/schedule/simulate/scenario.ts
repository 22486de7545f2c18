/** An app of a scenario: a kind of app that was recorded, and when and how much it is asked. */
export interface ScenarioApp {
  readonly name: string;
  /** Of a `Trace`. */
  readonly kind: string;
  readonly weight: number;
  /** Predictions asked of it per second of the device's time. */
  readonly fps: number;
  readonly deadlineMs?: number | undefined;
  readonly arriveMs: number;
  /** Default: it stays to the end. */
  readonly departMs?: number | undefined;
}

/** From a time on, what apps see has drifted. Several apps at once where the cause is one, such as nightfall. */
export interface ScenarioDrift {
  readonly atMs: number;
  readonly apps: readonly string[];
  /** Of the traces of these apps. */
  readonly drift: string;
}

/** For a while, apps are asked more often. */
export interface ScenarioBurst {
  readonly atMs: number;
  readonly untilMs: number;
  readonly apps: readonly string[];
  /** On the predictions asked. */
  readonly factor: number;
}

export interface ScenarioDevice {
  readonly windowMs: number;
  /** Parts of a window; at the end of each, what was trained serves, is looked at, and the rest of the window is planned anew. */
  readonly microWindows: number;
  readonly memoryBytes: number;
  readonly floorShare?: number | undefined;
}

/** What happens to the apps of a device: a JSON value, so that a run can be repeated from a file. Units: milliseconds from the start. */
export interface Scenario {
  readonly name: string;
  readonly device: ScenarioDevice;
  readonly windows: number;
  /**
   * Share of the steps that an app once trained in a drift which it need not repeat when it starts anew there: at another level, or when the
   * drift comes back. What feedback into a master keeps, in the simplest model of it; 0: every start is from the source.
   */
  readonly feedback: number;
  readonly apps: readonly ScenarioApp[];
  /** Every app has one at or before its arrival. */
  readonly drifts: readonly ScenarioDrift[];
  readonly bursts: readonly ScenarioBurst[];
}

export const endOf = ({ windows, device }: Scenario): number => windows * device.windowMs;
