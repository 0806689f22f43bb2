/** The proxies that ringleader is compared with: how each is found on this machine, and started in front of three servers. */
import { spawnSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { freePort } from '../../test/help/free-port.js';
import { BenchmarkError, type Children } from './children.js';
import type { Node } from './endpoints.js';
import type { Options } from './options.js';
import { nutcrackerPackage, type Peer } from './programs.js';

const HOST = '127.0.0.1';
// Where Debian has daemons, which need not be in the PATH of everybody.
const DAEMON_FOLDERS = ['/usr/sbin', '/usr/local/sbin'];
const DYNOMITE_TOKENS_END = 2 ** 32;
const CODIS_SLOTS = 1024;

interface StartedPeer {
  readonly port: number;
  readonly pids: readonly number[];
}

interface Kind {
  /** What has it print its version, and where in that the version stands. */
  readonly versionArgument: string;
  readonly versionPattern: RegExp;
  start(start: PeerStart): Promise<StartedPeer>;
}

interface PeerStart {
  readonly children: Children;
  readonly nodes: readonly Node[];
  readonly peer: Peer;
  /** Writes a file into a folder of the peer's own and returns its path. */
  write(name: string, text: string): string;
}

/** By the name of the program. One thread each, where a proxy can have several. */
const KINDS: Readonly<Record<string, Kind>> = {
  nutcracker: { versionArgument: '-V', versionPattern: /nutcracker-(\S+)/, start: startNutcracker },
  predixy: { versionArgument: '-v', versionPattern: /predixy-(\S+)/, start: startPredixy },
  'codis-proxy': { versionArgument: '--version', versionPattern: /version: (.+)/, start: startCodis },
  dynomite: { versionArgument: '-V', versionPattern: /dynomite-(\S+)/, start: startDynomite },
  envoy: { versionArgument: '--version', versionPattern: /version: [0-9a-f]+\/([^/\s]+)/, start: startEnvoy },
};

/**
 * Those that this machine has, by their names. nutcracker is fetched from Debian where it is not installed. What is not there is
 * named on standard error, or, where it was asked for, by a BenchmarkError.
 */
export async function findPeers(options: Options): Promise<ReadonlyMap<string, Peer>> {
  const { only, peerFolders, peers, commandPeers } = options;
  const given = [...peers, ...commandPeers].map(({ label }) => label);
  const found = new Map<string, Peer>();
  const missing: string[] = [];
  for (const [name, kind] of Object.entries(KINDS)) {
    if (given.includes(name) || (only !== null && !only.includes(name))) continue;
    const peer = installed(name, kind, peerFolders) ?? (name === 'nutcracker' ? await nutcrackerPackage() : null);
    if (peer === null) missing.push(name);
    else found.set(name, peer);
  }
  const complaint = `not found: ${missing.join(', ')} (looked for in PATH and --peer-path)`;
  if (missing.length > 0 && only !== null) throw new BenchmarkError(complaint);
  if (missing.length > 0) console.error(complaint);
  return found;
}

/** Starts the peer of that name in front of `nodes`. */
export async function startFoundPeer(children: Children, nodes: readonly Node[], name: string, peer: Peer) {
  const write = (file: string, text: string) => {
    const path = join(children.folder(name), file);
    writeFileSync(path, text);
    return path;
  };
  const started = await (KINDS[name] as Kind).start({ children, nodes, peer, write });
  return { label: name, host: HOST, ...started };
}

function installed(name: string, kind: Kind, folders: readonly string[]): Peer | null {
  const all = [...folders, ...(process.env['PATH'] ?? '').split(delimiter), ...DAEMON_FOLDERS];
  const program = all.map((folder) => join(folder, name)).find((path) => existsSync(path));
  if (program === undefined) return null;
  const { stdout, stderr } = spawnSync(program, [kind.versionArgument], { encoding: 'utf8' });
  const version = kind.versionPattern.exec(`${stdout}${stderr}`)?.[1];
  if (version === undefined) throw new BenchmarkError(`${program} ${kind.versionArgument} does not tell its version`);
  return { program, env: {}, version };
}

/**
 * nutcracker as its README recommends it for Redis, and as endpoints need it: one pool, ketama, and no server taken
 * out of the pool when it is slow.
 */
async function startNutcracker({ children, nodes, peer, write }: PeerStart): Promise<StartedPeer> {
  const port = await freePort();
  const path = write(
    'nutcracker.yml',
    `
main:
  listen: ${HOST}:${port}
  redis: true
  hash: fnv1a_64
  distribution: ketama
  auto_eject_hosts: false
  servers:
${nodes.map(({ name, port }) => `    - ${HOST}:${port}:1 ${name}`).join('\n')}
`,
  );
  const statistics = ['-a', HOST, '-s', `${await freePort()}`];
  const args = ['-c', path, '-o', write('nutcracker.log', ''), '-p', write('nutcracker.pid', ''), ...statistics];
  return { port, pids: [children.start('nutcracker', peer.program, args, { env: peer.env })] };
}

/** predixy for plain Redis servers: a group of one each, slots by CRC16, and one worker. */
async function startPredixy({ children, nodes, peer, write }: PeerStart): Promise<StartedPeer> {
  const port = await freePort();
  const path = write(
    'predixy.conf',
    `
Bind ${HOST}:${port}
WorkerThreads 1
Log ${write('predixy.log', '')}
Authority {
    Auth {
        Mode write
    }
}
StandaloneServerPool {
    Hash crc16
    Distribution modula
    RefreshMethod fixed
${nodes.map(({ name, port }) => `    Group ${name} {\n        + ${HOST}:${port}\n    }`).join('\n')}
}
`,
  );
  return { port, pids: [children.start('predixy', peer.program, [path], { env: peer.env })] };
}

/** codis-proxy without a dashboard: its slots come from a file, in turn to each server; one processor. */
async function startCodis({ children, nodes, peer, write }: PeerStart): Promise<StartedPeer> {
  const [port, adminPort] = [await freePort(), await freePort()];
  const config = write(
    'proxy.toml',
    `
product_name = "bench"
admin_addr = "${HOST}:${adminPort}"
proto_type = "tcp4"
proxy_addr = "${HOST}:${port}"
proxy_max_clients = 20000
`,
  );
  const slots = Array.from({ length: CODIS_SLOTS }, (_, id) => {
    const group = id % nodes.length;
    return { id, backend_addr: `${HOST}:${(nodes[group] as Node).port}`, backend_addr_group_id: group + 1 };
  });
  const files = [`--config=${config}`, `--fillslots=${write('slots.json', JSON.stringify(slots))}`];
  const args = ['--ncpu=1', '--max-ncpu=1', '--log-level=WARN', ...files];
  return { port, pids: [children.start('codis-proxy', peer.program, args, { env: peer.env })] };
}

/**
 * dynomite has one Redis server of its own: so one process for each of them, with a third of the tokens; clients come to the
 * first process, and what all of them use is counted.
 */
async function startDynomite({ children, nodes, peer, write }: PeerStart): Promise<StartedPeer> {
  const members: { name: string; port: number; peerPort: number; token: number; redisPort: number }[] = [];
  for (const [index, node] of nodes.entries()) {
    const token = Math.floor((index * DYNOMITE_TOKENS_END) / nodes.length);
    const [port, peerPort] = [await freePort(), await freePort()];
    members.push({ name: node.name, port, peerPort, token, redisPort: node.port });
  }
  const pids: number[] = [];
  for (const member of members) {
    const others = members.filter((other) => other !== member);
    const path = write(
      `${member.name}.yml`,
      `
dyn_o_mite:
  datacenter: dc
  rack: rack
  dyn_listen: ${HOST}:${member.peerPort}
  listen: ${HOST}:${member.port}
  dyn_seed_provider: simple_provider
  dyn_seeds:
${others.map(({ peerPort, token }) => `  - ${HOST}:${peerPort}:rack:dc:${token}`).join('\n')}
  servers:
  - ${HOST}:${member.redisPort}:1
  tokens: '${member.token}'
  secure_server_option: none
  data_store: 0
  stats_listen: ${HOST}:${await freePort()}
`,
    );
    // Level 4 leaves out what it says about each command with several keys.
    const args = ['-c', path, '-o', write(`${member.name}.log`, ''), '-v', '4'];
    pids.push(children.start(`dynomite-${member.name}`, peer.program, args, { env: peer.env }));
  }
  return { port: (members[0] as (typeof members)[0]).port, pids };
}

/** envoy's filter for Redis before a static cluster, whose members it takes by a Maglev table; one worker. */
async function startEnvoy({ children, nodes, peer, write }: PeerStart): Promise<StartedPeer> {
  const port = await freePort();
  const address = (port: number) => `{ socket_address: { address: ${HOST}, port_value: ${port} } }`;
  const path = write(
    'envoy.yaml',
    `
static_resources:
  listeners:
  - name: clients
    address: ${address(port)}
    filter_chains:
    - filters:
      - name: envoy.filters.network.redis_proxy
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.redis_proxy.v3.RedisProxy
          stat_prefix: bench
          settings: { op_timeout: 60s }
          prefix_routes: { catch_all_route: { cluster: nodes } }
  clusters:
  - name: nodes
    type: STATIC
    connect_timeout: 5s
    lb_policy: MAGLEV
    load_assignment:
      cluster_name: nodes
      endpoints:
      - lb_endpoints:
${nodes.map(({ port }) => `        - endpoint: { address: ${address(port)} }`).join('\n')}
`,
  );
  const args = ['-c', path, '--concurrency', '1', '--disable-hot-restart', '--log-level', 'warn'];
  return { port, pids: [children.start('envoy', peer.program, args, { env: peer.env })] };
}
