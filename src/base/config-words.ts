/**
 * What people write in the configuration for what is written otherwise: words of redis.conf, of other proxies, and of common
 * sense. Where they write it: a map's path, * for any name or index.
 */
import type { OtherWords } from './schema-problem.js';

const LISTEN = 'write listen: 127.0.0.1:6380';
const AUTH = 'write auth: { password: "…" }';
const URL = 'write url: redis://HOST:PORT';
const LOGIN = 'it stands in the url: redis://USER:PASSWORD@HOST:PORT';
const NODES = 'write pools: { main: { nodes: […] } }';
const POOL_TIMES = 'write limits: { connectTimeoutMs: 2s, requestTimeoutMs: 5s }';

export const OTHER_WORDS: OtherWords = {
  '': {
    port: LISTEN,
    bind: LISTEN,
    host: LISTEN,
    address: LISTEN,
    unixsocket: 'write listen: unix:/path',
    requirepass: AUTH,
    password: AUTH,
    users: 'users with rights of their own are not supported yet; write auth: { password: "…" }',
    tls: 'TLS is not supported yet',
    timeout: 'write limits: { idleTimeoutMs: … } for clients, or { requestTimeoutMs: … } for nodes',
    timeouts: 'write limits: { requestTimeoutMs: … }',
    maxclients: 'write limits: { clientsMax: … }',
    maxmemory: 'write limits: { workerMemoryMax: … }',
    loglevel: 'write log: { level: info }',
    logformat: 'write log: { format: json }',
    logging: 'write log: { level: info }',
    logfile: 'the log goes to standard output',
    daemonize: 'it runs in the foreground: leave it to systemd, or to the container',
    pidfile: 'it writes none',
    threads: 'write workers: 2',
    'io-threads': 'write workers: 2',
    nodes: NODES,
    servers: NODES,
    backends: NODES,
    redis: NODES,
    metrics: 'write admin: 127.0.0.1:9121',
    shutdownTimeout: 'write drainTimeout: 10s',
    prefixes: 'write keyspaces: [{ prefix: "a:", pool: main }]',
    databases: 'only database 0 is supported',
    dir: 'write dataDir: /var/lib/ringleader',
  },
  'pools.*': {
    servers: 'write nodes: [redis://HOST:PORT]',
    hosts: 'write nodes: [redis://HOST:PORT]',
    url: 'write nodes: [redis://HOST:PORT]',
    urls: 'write nodes: [redis://HOST:PORT]',
    password: 'it stands in the url of each node: redis://:PASSWORD@HOST:PORT',
    timeout: POOL_TIMES,
    weight: 'it stands with a node: { url: "redis://HOST:PORT", weight: 2 }',
    placement: 'it stands with the keyspace: keyspaces: [{ prefix: "", pool: …, placement: … }]',
    distribution: 'it stands with the keyspace: keyspaces: [{ prefix: "", pool: …, placement: ketama }]',
    hash: 'it stands with the keyspace: keyspaces: [{ prefix: "", pool: …, placement: ketama, hash: … }]',
  },
  'pools.*.nodes.*': {
    host: URL,
    hostname: URL,
    port: URL,
    address: URL,
    addr: URL,
    server: URL,
    uri: URL,
    password: LOGIN,
    pass: LOGIN,
    auth: LOGIN,
    user: LOGIN,
    username: LOGIN,
    db: 'only database 0 is supported',
    database: 'only database 0 is supported',
    tls: 'TLS to nodes is not supported yet',
  },
  limits: {
    maxClients: 'write clientsMax: …',
    maxConnections: 'write clientsMax: …',
    timeout: 'write idleTimeoutMs: … for clients, or requestTimeoutMs: … for nodes',
    maxMemory: 'write workerMemoryMax: …',
    memoryMax: 'write workerMemoryMax: …',
    maxBulkBytes: 'write bulkBytesMax: …',
    'proto-max-bulk-len': 'write bulkBytesMax: …',
    drainTimeoutMs: 'it stands outside of limits: drainTimeout: 10s',
  },
  log: { file: 'the log goes to standard output' },
  'keyspaces.*': {
    name: 'a keyspace has no name: write prefix: "a:"',
    distribution: 'write placement: ketama',
    hash_tag: 'write hashTag: "{}"',
    nodes: 'they stand in the pool: pools: { main: { nodes: […] } }',
  },
  'services.*': {
    port: LISTEN,
    pool: 'write keyspaces: [{ prefix: "", pool: … }]',
    password: 'it is the same for all services: auth: { password: "…" } in the file',
    auth: 'it is the same for all services, and stands outside of them',
  },
};
