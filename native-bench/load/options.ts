/** The command line of the load generator. */
import { parseArgs } from 'node:util';
import type { TransportKind } from '../../src/messages.js';
import { BenchmarkError } from '../compare/children.js';
import { TEST_NAMES, type TestName } from '../compare/tests.js';
import type { ClosedPace, OpenPace } from './load-run.js';

export interface LoadOptions {
  readonly host: string;
  readonly port: number;
  readonly pace: OpenPace | ClosedPace;
  readonly test: TestName;
  readonly clients: number;
  readonly size: number;
  readonly keys: number;
  readonly transport: 'auto' | TransportKind;
  readonly isFilled: boolean;
  readonly asJson: boolean;
}

const usage = `npm run bench:load -- --target HOST:PORT (--rate N | --depth N) [options]

  --target HOST:PORT   a Redis server, or what looks like one
  --rate N             requests a second, sent when they are due, whatever became of those before
  --poisson            at random times of that rate (a Poisson process) instead of even ones
  --seconds 10         how long is measured
  --warm-up 1          seconds at the same rate before that
  --depth N            instead of --rate: as fast as replies come; each client asks N before it awaits their replies
  --requests N         with --depth: N in all, however long that takes
  --clients 50         connections; requests go to each in turn
  --test get           ${TEST_NAMES.join(', ')} (npm run bench:compare -- --help)
  --size 64            bytes of a value
  --keys 100000        keys drawn from at random
  --no-fill            the keys are there
  --transport auto     auto, io_uring, epoll, node
  --json               the result as JSON`;

const TRANSPORTS = ['auto', 'io_uring', 'epoll', 'node'] as const;

/** Throws a BenchmarkError with the usage when the command line makes no sense. */
export function parseLoadOptions(args: readonly string[]): LoadOptions {
  const values = parse(args);
  if (values.help) {
    console.log(usage);
    process.exit(0);
  }
  const [, host, port] = /^(?:\[?)([^[\]]+?)(?:\]?):(\d{1,5})$/.exec(values.target) ?? [];
  if (host === undefined || port === undefined) throw wrong(`--target ${values.target}: HOST:PORT`);
  return {
    host,
    port: Number(port),
    pace: paceOf(values),
    test: oneOf('test', values.test, TEST_NAMES),
    clients: whole('clients', values.clients),
    size: whole('size', values.size),
    keys: whole('keys', values.keys),
    transport: oneOf('transport', values.transport, TRANSPORTS),
    isFilled: values['no-fill'],
    asJson: values.json,
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        target: { type: 'string', default: '' },
        rate: { type: 'string' },
        poisson: { type: 'boolean', default: false },
        seconds: { type: 'string', default: '10' },
        'warm-up': { type: 'string', default: '1' },
        requests: { type: 'string' },
        depth: { type: 'string' },
        clients: { type: 'string', default: '50' },
        test: { type: 'string', default: 'get' },
        size: { type: 'string', default: '64' },
        keys: { type: 'string', default: '100000' },
        'no-fill': { type: 'boolean', default: false },
        transport: { type: 'string', default: 'auto' },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    }).values;
  } catch (error) {
    throw wrong(error instanceof Error ? error.message : String(error));
  }
}

function paceOf(values: ReturnType<typeof parse>): OpenPace | ClosedPace {
  const { rate, depth, requests } = values;
  if ((rate === undefined) === (depth === undefined)) throw wrong('either --rate or --depth');
  if (depth !== undefined) {
    const end =
      requests === undefined
        ? { requests: Number.POSITIVE_INFINITY, seconds: above0('seconds', values.seconds) }
        : { requests: whole('requests', requests), seconds: Number.POSITIVE_INFINITY };
    return { kind: 'closed', depth: whole('depth', depth), ...end };
  }
  return {
    kind: 'open',
    rate: above0('rate', rate ?? ''),
    isPoisson: values.poisson,
    warmUpSeconds: Number(values['warm-up']) === 0 ? 0 : above0('warm-up', values['warm-up']),
    seconds: above0('seconds', values.seconds),
  };
}

function oneOf<T extends string>(name: string, text: string, all: readonly T[]): T {
  const found = all.find((one) => one === text);
  if (found === undefined) throw wrong(`--${name} ${text}: one of ${all.join(', ')}`);
  return found;
}

function whole(name: string, text: string): number {
  const value = above0(name, text);
  if (!Number.isInteger(value)) throw wrong(`--${name} ${text}: a whole number`);
  return value;
}

function above0(name: string, text: string): number {
  const value = Number(text);
  if (!(value > 0)) throw wrong(`--${name} ${text}: a number above 0`);
  return value;
}

function wrong(message: string): BenchmarkError {
  return new BenchmarkError(`${message}\n\n${usage}`);
}
