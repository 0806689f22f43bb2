/**
 * Clients that want a few locks, through whatever proxies run, and count under them: what each was told, and what it did about it.
 *
 *   LOCK.ACQUIRE -> look at the counter, with the fence -> write one more, with the fence -> LOCK.RELEASE
 *
 * The counters are on a server of their own that refuses a fence below one that it has seen: the storage that fences are for.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { acquire, type TakenLock } from './lock-client.js';
import type { Random } from './random.js';
import { RespClient } from './resp-client.js';
import { waitFor } from './wait-for.js';

export interface ContendersOptions {
  clients: number;
  locks: readonly string[];
  ttlMs: number;
  waitMs: number;
  /** Where proxies listen that run. */
  ports: () => readonly number[];
  counterPort: number;
  random: Random;
}

/** A grant, by this process's clock. */
export interface Hold {
  lock: string;
  client: number;
  fence: number;
  /** When it was told. */
  fromMs: number;
  /** Until when it surely held the lock: it gave it back, or its validity was over, counted from when it asked. */
  untilMs: number;
  /** What the counter was then, by its write; null: it was refused. */
  count: number | null;
  /** When its write was done or refused. */
  countedMs: number;
}

/** KEYS: fence, counter; ARGV: fence. The counter, or nothing for a fence that is behind. */
const LOOK = `
if tonumber(ARGV[1]) < tonumber(redis.call('GET', KEYS[1]) or 0) then return false end
redis.call('SET', KEYS[1], ARGV[1])
return redis.call('GET', KEYS[2]) or '0'`;
/** ARGV[2]: what the counter is to be. */
const WRITE = `
if tonumber(ARGV[1]) < tonumber(redis.call('GET', KEYS[1]) or 0) then return false end
redis.call('SET', KEYS[2], ARGV[2])
return ARGV[2]`;
/** Grants of each lock by which all is known to go on. */
const GRANTS_MIN = 10;
const RETRY_MS = 20;
/** A session's hold goes on beyond the ttl, by the word of its connection. */
const LONG_SESSION_TTLS = 3;
const HOLD_STEP_MS = 100;
/** One of so many holds goes on for a random part of its ttl, and one of so many is never given back. */
const LONG_HOLDS = 20;

export class Contenders {
  readonly holds: Hold[] = [];
  readonly counts = { answered: 0, unknown: 0, failed: 0 };
  /** Errors, by their first word: how often. */
  readonly errors = new Map<string, number>();
  private readonly options: ContendersOptions;
  private running: Promise<unknown> = Promise.resolve();
  private isStopping = false;

  constructor(options: ContendersOptions) {
    this.options = options;
  }

  start(): void {
    const { clients } = this.options;
    this.running = Promise.all(Array.from({ length: clients }, (_, client) => this.contend(client)));
  }

  /** Locks that are held then are not given back. */
  async halt(): Promise<void> {
    this.isStopping = true;
    await this.running;
  }

  /** Resolves when so many more were granted. */
  async answers(what: string, count: number, timeoutMs: number): Promise<void> {
    const goal = this.counts.answered + count;
    await waitFor(what, () => this.counts.answered >= goal, timeoutMs);
  }

  /** Resolves when each lock was granted again. */
  async goesOn(what: string, timeoutMs: number): Promise<void> {
    const begin = this.holds.length;
    const grants = (name: string) => this.holds.slice(begin).filter(({ lock }) => lock === name).length;
    await waitFor(what, () => this.options.locks.every((name) => grants(name) >= GRANTS_MIN), timeoutMs);
  }

  private async contend(client: number): Promise<void> {
    const { random, ports, counterPort } = this.options;
    const counters = await RespClient.connect(counterPort);
    let proxy: RespClient | null = null;
    while (!this.isStopping) {
      try {
        proxy ??= await RespClient.connect(random.pick(ports()));
        await this.turn(client, proxy, counters);
      } catch (error) {
        this.note(error);
        // Another proxy may reach the nodes.
        proxy?.close();
        proxy = null;
        await sleep(RETRY_MS);
      }
    }
    proxy?.close();
    counters.close();
  }

  private async turn(client: number, proxy: RespClient, counters: RespClient): Promise<void> {
    const { random, locks, ttlMs, waitMs } = this.options;
    const lock = random.pick(locks);
    const askedMs = performance.now();
    const isSession = random.below(2) === 0;
    const taken = await acquire(
      proxy,
      lock,
      'TTL',
      `${ttlMs}`,
      'WAIT',
      `${random.below(2) * waitMs}`,
      ...(isSession ? ['SESSION'] : []),
    );
    if (taken === null) {
      await sleep(random.below(RETRY_MS));
      return;
    }
    this.counts.answered++;
    const hold: Hold = {
      lock,
      client,
      fence: taken.fence,
      fromMs: performance.now(),
      untilMs: 0,
      count: null,
      countedMs: 0,
    };
    const validUntilMs = askedMs + taken.validity;
    hold.untilMs = validUntilMs;
    this.holds.push(hold);
    hold.count = await this.count(counters, lock, taken);
    hold.countedMs = performance.now();
    // A session's lock goes with its connection, whoever ends that, and lasts as long.
    if (isSession) hold.untilMs = Math.min(validUntilMs, hold.countedMs);
    const isKept = this.isStopping || random.below(LONG_HOLDS) === 0;
    const holdMs = random.below(LONG_HOLDS) === 0 ? random.below(isSession ? LONG_SESSION_TTLS * ttlMs : ttlMs) : 0;
    for (const endMs = performance.now() + holdMs; performance.now() < endMs; await sleep(HOLD_STEP_MS)) {
      if (isSession) hold.untilMs = await answeredMs(proxy);
    }
    if (isKept && isSession) throw new Error('gone with what it held');
    if (isKept) return;
    const releasedMs = performance.now();
    if (!isSession) hold.untilMs = Math.min(validUntilMs, releasedMs);
    const reply = await proxy.command('LOCK.RELEASE', lock, taken.token);
    if (isSession && reply === 'OK') hold.untilMs = releasedMs;
  }

  /** One more than before; null: the server has seen a larger fence. */
  private async count(counters: RespClient, lock: string, { fence }: TakenLock): Promise<number | null> {
    const keys = ['2', `fence:${lock}`, `count:${lock}`, `${fence}`];
    const seen = await counters.command('EVAL', LOOK, ...keys);
    if (seen === null) return null;
    const next = Number(`${seen}`) + 1;
    return (await counters.command('EVAL', WRITE, ...keys, `${next}`)) === null ? null : next;
  }

  private note(error: unknown): void {
    const message = error instanceof Error ? error.message : `${error}`;
    const word = message.split(' ', 1)[0] as string;
    this.errors.set(word, (this.errors.get(word) ?? 0) + 1);
    if (/^[A-Z]+$/.test(word) && word !== 'UNKNOWN') this.counts.failed++;
    else this.counts.unknown++;
  }
}

/** When something was sent that was answered: the connection was there then. */
async function answeredMs(proxy: RespClient): Promise<number> {
  const sentMs = performance.now();
  await proxy.command('PING');
  return sentMs;
}
