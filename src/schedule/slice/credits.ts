import { LimberError } from "../../base/index.js";
import { raiseToFloor } from "./shares.js";

export interface CreditOptions {
  /** What all apps together get in a round. Units: milliseconds; default 100. */
  readonly quantumMs?: number | undefined;
  /** Least share of each app; default 0.05, and at most one n-th. */
  readonly floorShare?: number | undefined;
}

interface Account {
  readonly name: string;
  asked: number;
  share: number;
  creditMs: number;
  usedMs: number;
  isReady: boolean;
}

/**
 * Who may use the device next. Each round gives every app a credit of share · quantum; one that waits for the device may use it while its
 * credit is above 0, a step at a time, and what a step takes beyond the credit is a debt that the next rounds pay off. So steps may be of
 * any length, and over time each app has its share to within a step and a quantum. A round ends when none that waits has credit left:
 * what others do not use is not waited for, and goes to those that wait in proportion to their shares.
 *
 * Credit is not saved up: an app that does not wait keeps its debts alone. What is used while nobody else waits is free.
 *
 * Source: tokens of Gemini (KubeShare), and deficit round robin, Shreedhar & Varghese 1995. Differs: no fixed period, so that no time is
 * left unused; predictions are charged too, whoever has the device.
 * Cost: O(n) for each decision.
 */
export class Credits {
  private readonly accounts = new Map<string, Account>();
  private readonly quantumMs: number;
  private readonly floorShare: number;
  private holder: Account | undefined;

  /** Throws: `config.invalid`. */
  constructor({ quantumMs = 100, floorShare = 0.05 }: CreditOptions = {}) {
    if (!(quantumMs > 0 && Number.isFinite(quantumMs))) {
      const message = `quantum: milliseconds above 0, got ${quantumMs}`;
      throw new LimberError("config.invalid", message, { quantumMs });
    }
    checkShare("floor share", floorShare);
    this.quantumMs = quantumMs;
    this.floorShare = floorShare;
  }

  /** Throws: `config.invalid` for a name that is there, or no share. */
  open(name: string, share: number): void {
    checkShare(`share of "${name}"`, share);
    if (this.accounts.has(name))
      throw new LimberError("config.invalid", `app: a name that is not taken, got "${name}"`, { name });
    this.accounts.set(name, { name, asked: share, share: 0, creditMs: 0, usedMs: 0, isReady: false });
    this.divide();
  }

  close(name: string): void {
    this.accounts.delete(name);
    this.divide();
  }

  has(name: string): boolean {
    return this.accounts.has(name);
  }

  /** Other shares from now on, for the apps named; credits and debts stay. Throws: `config.invalid`. */
  setShares(shares: Iterable<readonly [name: string, share: number]>): void {
    const asked = [...shares];
    for (const [name, share] of asked) checkShare(`share of "${name}"`, share);
    for (const [name, share] of asked) this.find(name).asked = share;
    this.divide();
  }

  /** As kept: floors raised, 1 together. */
  shareOf(name: string): number {
    return this.find(name).share;
  }

  /** What it was charged since it was opened. Units: milliseconds. */
  usedMs(name: string): number {
    return this.find(name).usedMs;
  }

  /** Whether it waits for the device. */
  setReady(name: string, isReady: boolean): void {
    const account = this.find(name);
    account.isReady = isReady;
    if (!isReady) account.creditMs = Math.min(0, account.creditMs);
  }

  charge(name: string, ms: number): void {
    const account = this.find(name);
    account.usedMs += ms;
    for (const other of this.accounts.values())
      if (other.isReady && other !== account) {
        account.creditMs -= ms;
        return;
      }
  }

  /** Who has the device for the next step: the one that had it, as long as it has credit, else the one with most; nothing where none waits. */
  next(): string | undefined {
    const waiting = [...this.accounts.values()].filter(({ isReady }) => isReady);
    if (waiting.length === 0) return undefined;
    if (waiting.every(({ creditMs }) => creditMs <= 0)) this.startRound(waiting);
    const holds =
      this.holder?.isReady && this.holder.creditMs > 0 && this.accounts.get(this.holder.name) === this.holder;
    if (!holds) this.holder = waiting.reduce((best, each) => (each.creditMs > best.creditMs ? each : best));
    return this.holder!.name;
  }

  /** Rounds until one that waits has credit, at once: a step may have cost many. */
  private startRound(waiting: readonly Account[]): void {
    const gainOf = ({ share }: Account): number => share * this.quantumMs;
    const rounds = 1 + Math.min(...waiting.map((each) => Math.floor(-each.creditMs / gainOf(each))));
    for (const account of this.accounts.values()) {
      account.creditMs += rounds * gainOf(account);
      if (!account.isReady) account.creditMs = Math.min(0, account.creditMs);
    }
  }

  private divide(): void {
    const accounts = [...this.accounts.values()];
    const shares = raiseToFloor(
      accounts.map(({ asked }) => asked),
      this.floorShare,
    );
    accounts.forEach((account, i) => (account.share = shares[i]!));
  }

  private find(name: string): Account {
    const account = this.accounts.get(name);
    if (!account) throw new LimberError("config.invalid", `app: one that was opened, got "${name}"`, { name });
    return account;
  }
}

function checkShare(what: string, share: number): void {
  if (share >= 0 && share <= 1) return;
  throw new LimberError("config.invalid", `${what}: a number from 0 to 1, got ${share}`, { share });
}
