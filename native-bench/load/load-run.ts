/**
 * One run of load against one server, in this process and thread.
 *
 *   connecting -> asking -> draining (until all is answered, or too late) -> done
 *
 * Requests are sent at the end of the transport's turns, and between them. There this process sleeps until the next request is due or
 * something comes, in its own way (nap.ts); where it cannot, it spins.
 */
import { performance } from 'node:perf_hooks';
import { BenchmarkError } from '../compare/children.js';
import type { Driver } from './driver.js';
import { LoadConnection } from './load-connection.js';
import { Measurement, type MeasurementSummary } from './measurement.js';
import { Nap } from './nap.js';
import { OpenLoop } from './open-loop.js';
import { Requests } from './requests.js';
import { Schedule } from './schedule.js';

export interface LoadPlan {
  readonly host: string;
  readonly port: number;
  readonly clients: number;
  /** Each comes equally often; `__rand_int__` is drawn from below `keys`. */
  readonly commands: readonly (readonly string[])[];
  readonly keys: number;
  readonly pace: OpenPace | ClosedPace;
}

/** A fixed rate, whatever becomes of the requests before. */
export interface OpenPace {
  readonly kind: 'open';
  /** Requests a second, of all clients together. */
  readonly rate: number;
  readonly isPoisson: boolean;
  /** Asked before, and not counted. */
  readonly warmUpSeconds: number;
  readonly seconds: number;
}

/**
 * Each client asks `depth` at once, and the next ones when all of these are answered, until there were `requests` or `seconds` have
 * passed. Infinity: until the other.
 */
export interface ClosedPace {
  readonly kind: 'closed';
  readonly depth: number;
  readonly requests: number;
  readonly seconds: number;
}

export interface LoadReport extends MeasurementSummary {
  /** Cores that this process used, of one. */
  readonly generatorCores: number;
}

type Phase = 'connecting' | 'asking' | 'draining' | 'done';

const CONNECTING_MAX = 100;
const CONNECT_TIMEOUT_MS = 10_000;
const DRAIN_US = 5e6;
const NAP_MAX_US = 20_000;

/** Throws a BenchmarkError when a connection cannot be made, or all are lost. */
export function runPlan(driver: Driver, plan: LoadPlan): Promise<LoadReport> {
  return new LoadRun(driver, plan).run();
}

class LoadRun {
  private readonly driver: Driver;
  private readonly plan: LoadPlan;
  private readonly originMs = performance.now();
  private readonly nap: Nap | null;
  private readonly connections: LoadConnection[] = [];
  private measurement = new Measurement(0, 0);
  private openLoop: OpenLoop | null = null;
  private phase: Phase = 'connecting';
  private opened = 0;
  private gone = 0;
  /** Of a closed pace: still to be asked, and until when. */
  private remaining = 0;
  private untilUs = 0;
  private drainedUs = 0;
  private askedBefore = 0;
  private startedUs = 0;
  private cpuBefore = process.cpuUsage();
  private finish: (report: LoadReport) => void = () => {};
  private fail: (error: Error) => void = () => {};

  constructor(driver: Driver, plan: LoadPlan) {
    this.driver = driver;
    this.plan = plan;
    this.nap = driver.sleep === null ? null : new Nap(driver.sleep);
  }

  run(): Promise<LoadReport> {
    const { transport } = this.driver;
    const { commands, keys, clients } = this.plan;
    const events = {
      onOpen: () => this.onOpen(),
      onIdle: (connection: LoadConnection) => this.onIdle(connection),
      onGone: (_: LoadConnection, reason: string) => this.onGone(reason),
    };
    const requests = new Requests(commands, keys);
    for (let index = 0; index < clients; index++) {
      this.connections.push(new LoadConnection(transport, this.clockUs, requests, this.measurement, events));
    }
    transport.onTurnEnd = () => this.step();
    transport.start();
    for (let index = 0; index < Math.min(CONNECTING_MAX, clients); index++) this.open(index);
    setImmediate(this.rest);
    return new Promise((resolve, reject) => {
      this.finish = resolve;
      this.fail = reject;
    });
  }

  private readonly clockUs = (): number => Math.round((performance.now() - this.originMs) * 1_000);

  private open(index: number): void {
    this.connections[index]?.open(this.plan.host, this.plan.port, CONNECT_TIMEOUT_MS);
  }

  private onOpen(): void {
    this.opened++;
    this.open(this.opened - 1 + CONNECTING_MAX);
  }

  private onGone(reason: string): void {
    if (this.phase === 'done') return;
    this.gone++;
    const { host, port, clients } = this.plan;
    if (this.phase !== 'connecting' && this.gone < clients) return;
    const what = this.phase === 'connecting' ? 'a connection could not be made' : 'all connections were lost';
    this.phase = 'done';
    this.fail(new BenchmarkError(`${host}:${port}: ${what}: ${reason}`));
  }

  private step(): void {
    if (this.phase === 'connecting' && this.opened === this.plan.clients) this.begin();
    else if (this.phase === 'asking') this.ask();
    else if (this.phase === 'draining') this.drain();
  }

  private begin(): void {
    const { pace } = this.plan;
    this.phase = 'asking';
    this.startedUs = this.clockUs();
    this.cpuBefore = process.cpuUsage();
    if (pace.kind === 'closed') {
      this.setMeasurement(new Measurement(this.startedUs, Number.POSITIVE_INFINITY));
      this.remaining = pace.requests;
      this.untilUs = this.startedUs + pace.seconds * 1e6;
      for (const connection of this.connections) this.onIdle(connection);
      return;
    }
    const fromUs = this.startedUs + pace.warmUpSeconds * 1e6;
    const untilUs = fromUs + pace.seconds * 1e6;
    this.setMeasurement(new Measurement(fromUs, untilUs));
    const schedule = new Schedule(this.startedUs, pace.rate, pace.isPoisson ? Math.random : null);
    this.openLoop = new OpenLoop(schedule, untilUs, this.connections);
    this.ask();
  }

  private setMeasurement(measurement: Measurement): void {
    this.measurement = measurement;
    for (const connection of this.connections) connection.measurement = measurement;
  }

  private ask(): void {
    const nowUs = this.clockUs();
    this.openLoop?.pump(nowUs);
    const isOpenDone = this.openLoop === null || this.openLoop.nextUs === Number.POSITIVE_INFINITY;
    const isClosedDone = this.openLoop !== null || this.remaining === 0 || nowUs >= this.untilUs;
    if (!isOpenDone || !isClosedDone) return;
    this.phase = 'draining';
    this.drainedUs = nowUs + DRAIN_US;
  }

  /** A closed pace goes on. */
  private onIdle(connection: LoadConnection): void {
    const { pace } = this.plan;
    if (pace.kind !== 'closed' || this.phase !== 'asking') return;
    const nowUs = this.clockUs();
    for (let asked = 0; asked < pace.depth && this.remaining > 0; asked++) {
      this.remaining--;
      connection.ask(nowUs, nowUs);
    }
  }

  private drain(): void {
    const nowUs = this.clockUs();
    if (this.measurement.inFlight > 0 && nowUs < this.drainedUs) return;
    for (const connection of this.connections) connection.giveUp(nowUs, 'no-reply');
    this.phase = 'done';
    const { user, system } = process.cpuUsage(this.cpuBefore);
    const generatorCores = (user + system) / (nowUs - this.startedUs);
    this.finish({ ...this.measurement.summary(), generatorCores });
  }

  /** Between the transport's turns. */
  private readonly rest = (): void => {
    // The node driver takes no turn while nothing comes.
    this.step();
    if (this.phase === 'done') return;
    setImmediate(this.rest);
    // What was asked since the last look may still have to be sent, by the next turn.
    const { asked } = this.measurement;
    const isSent = asked === this.askedBefore;
    this.askedBefore = asked;
    const nowUs = this.clockUs();
    const restUs = Math.min((this.openLoop?.nextUs ?? Number.POSITIVE_INFINITY) - nowUs, NAP_MAX_US);
    if (isSent && restUs > 0) this.nap?.rest(restUs);
  };
}
