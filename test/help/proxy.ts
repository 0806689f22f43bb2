/** The proxy as its users run it: a process of its own, started by the command line with a configuration file. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { TransportKind } from '../../src/messages.js';
import { type Child, type Ending, removeFolder, scratchFolder, startChild } from './child.js';
import { freePort } from './free-port.js';
import { within } from './wait-for.js';

const MAIN = fileURLToPath(new URL('../../src/main.js', import.meta.url));
const START_TIMEOUT_MS = 30_000;

/** One line of the log. `msg` is the event. */
export interface LogLine {
  level: string;
  time: string;
  msg: string;
  [field: string]: unknown;
}

export interface ProxyOptions {
  /** The nodes of the only pool, as in the configuration: URLs, or maps with name, url and weight. */
  nodes?: readonly (string | { name?: string; url: string; weight?: number })[];
  /** In place of `nodes` and `keyspaces`, and of `listen` if it has one: these parts of the configuration as they are. */
  layout?: Readonly<Record<string, unknown>>;
  /** Whether a reload may look for keys elsewhere. */
  acceptRemap?: boolean;
  workers?: number;
  transport?: 'auto' | TransportKind;
  /** In place of the one free port of 127.0.0.1. */
  listen?: readonly string[];
  limits?: Readonly<Record<string, string | number>>;
  log?: { level: string; format: 'json' };
  drainTimeout?: string | number;
  /** In place of a free port of 127.0.0.1, which `adminUrl` is for. */
  admin?: string;
  auth?: unknown;
  protectedMode?: string;
  enableDebugCommand?: 'no' | 'local' | 'yes';
  pubsub?: 'exact' | 'shared';
  dataDir?: string;
  coordination?: unknown;
  /** In place of the one of all keys. */
  keyspaces?: readonly unknown[];
  env?: Readonly<Record<string, string>>;
  /** How many descriptors the process may have open (`ulimit -n`). */
  descriptorsMax?: number;
  /** A module that is loaded first, in every thread. */
  preload?: string;
}

export class ProxyProcess {
  /** Where it listens on 127.0.0.1, unless `listen` was given. */
  readonly port: number;
  readonly adminUrl: string;
  /** What it has logged so far. */
  readonly logLines: LogLine[] = [];
  readonly ended: Promise<Ending>;
  private readonly folder: string;
  private readonly child: Child;
  private readonly watchers = new Set<(line: LogLine) => void>();

  private constructor(port: number, adminPort: number, folder: string, child: Child) {
    this.port = port;
    this.adminUrl = `http://127.0.0.1:${adminPort}`;
    this.folder = folder;
    this.child = child;
    this.ended = child.ended;
    child.onLine((text) => {
      const line = parseLine(text);
      if (line === null) return;
      this.logLines.push(line);
      for (const watch of this.watchers) watch(line);
    });
  }

  /** Resolves when it takes connections. Rejects with what it wrote when it ends instead. */
  static async start(options: ProxyOptions): Promise<ProxyProcess> {
    const proxy = await ProxyProcess.launch(options);
    try {
      await proxy.waitForLog('listening', undefined, START_TIMEOUT_MS);
    } catch (error) {
      proxy.child.signal('SIGKILL');
      removeFolder(proxy.folder);
      const reason = error instanceof Error ? error.message : error;
      throw new Error(`the proxy did not start: ${reason}\n${proxy.output()}`, { cause: error });
    }
    return proxy;
  }

  /** Resolves when the process is there. */
  static async launch(options: ProxyOptions): Promise<ProxyProcess> {
    const [port, adminPort] = [await freePort(), await freePort()];
    const { nodes, keyspaces, layout, acceptRemap, env = {}, listen, descriptorsMax, preload, ...rest } = options;
    const config = {
      // Services have addresses of their own.
      ...(layout !== undefined && 'services' in layout ? {} : { listen: listen ?? [`127.0.0.1:${port}`] }),
      ...(layout ?? {
        pools: { main: { nodes } },
        keyspaces: keyspaces ?? [{ prefix: '', pool: 'main', mode: 'sharded' }],
      }),
      admin: `127.0.0.1:${adminPort}`,
      workers: 1,
      log: { level: 'debug', format: 'json' },
      ...rest,
    };
    const folder = scratchFolder('proxy');
    const configPath = join(folder, 'ringleader.yml');
    // JSON is YAML.
    writeFileSync(configPath, JSON.stringify(config, null, 2));
    const first = preload === undefined ? [] : ['--import', preload];
    const command = [process.execPath, ...first, MAIN, 'start', '--config', configPath];
    if (acceptRemap === true) command.push('--accept-remap');
    // The shell limits itself, and then becomes the proxy.
    if (descriptorsMax !== undefined) command.unshift('sh', '-c', 'ulimit -n "$0" && exec "$@"', `${descriptorsMax}`);
    const child = await startChild(command[0] as string, command.slice(1), { env });
    return new ProxyProcess(port, adminPort, folder, child);
  }

  get configPath(): string {
    return join(this.folder, 'ringleader.yml');
  }

  get pid(): number {
    return this.child.pid;
  }

  /** All it has written: for the message of a test that fails. */
  output(): string {
    return this.child.output();
  }

  /** Resolves with the first line with that event for which `matches` holds, also one that has come before. */
  async waitForLog(
    event: string,
    matches: (line: LogLine) => boolean = () => true,
    timeoutMs = 20_000,
  ): Promise<LogLine> {
    const isIt = (line: LogLine) => line.msg === event && matches(line);
    const before = this.logLines.find(isIt);
    if (before !== undefined) return before;
    let watch: (line: LogLine) => void = () => {};
    const coming = new Promise<LogLine>((resolve, reject) => {
      watch = (line) => {
        if (isIt(line)) resolve(line);
      };
      this.watchers.add(watch);
      void this.ended.then(({ code, signal }) => {
        reject(new Error(`the proxy ended with ${signal ?? code} before it logged "${event}":\n${this.output()}`));
      });
    });
    try {
      return await within(`the log line "${event}"`, coming, timeoutMs);
    } finally {
      this.watchers.delete(watch);
    }
  }

  /** SIGKILL. Resolves when the process is gone. */
  async kill9(): Promise<void> {
    this.child.signal('SIGKILL');
    await this.ended;
    removeFolder(this.folder);
  }

  /** The text of its configuration file. */
  configText(): string {
    return readFileSync(join(this.folder, 'ringleader.yml'), 'utf8');
  }

  /** Changes the text of the configuration file (JSON) and has the proxy read it again. */
  reload(change: (text: string) => string): void {
    const path = join(this.folder, 'ringleader.yml');
    writeFileSync(path, change(this.configText()));
    this.child.signal('SIGHUP');
  }

  signal(signal: NodeJS.Signals): void {
    this.child.signal(signal);
  }

  /** SIGTERM. Resolves with the exit code; rejects when a signal ended it, or it takes longer than `timeoutMs`. */
  async stop(timeoutMs = 30_000): Promise<number> {
    this.child.signal('SIGTERM');
    try {
      const { code, signal } = await within('the end of the proxy after SIGTERM', this.ended, timeoutMs);
      if (code === null) throw new Error(`the proxy was ended by ${signal}:\n${this.output()}`);
      return code;
    } finally {
      this.child.signal('SIGKILL');
      removeFolder(this.folder);
    }
  }
}

function parseLine(text: string): LogLine | null {
  try {
    return JSON.parse(text) as LogLine;
  } catch {
    // Not a log line: it is in `output()`.
    return null;
  }
}
