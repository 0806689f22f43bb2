/** Which process listens on a port of this machine, for somebody who wanted that port. Known on Linux only. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

export interface PortOwner {
  pid: number;
  /** Its command line, cut to what fits on a line. */
  command: string;
}

/** The state of a listening socket in /proc/net/tcp. */
const LISTENING = '0A';
const COMMAND_LENGTH_MAX = 80;

/** Null where it cannot be known: processes of other users show their sockets to root only. */
export function portOwner(port: number, proc = '/proc'): PortOwner | null {
  const inodes = new Set(['tcp', 'tcp6'].flatMap((table) => listeningInodes(read(`${proc}/net/${table}`), port)));
  if (inodes.size === 0) return null;
  for (const entry of list(proc)) {
    if (!/^\d+$/.test(entry)) continue;
    const folder = `${proc}/${entry}`;
    if (!list(`${folder}/fd`).some((descriptor) => inodes.has(link(`${folder}/fd/${descriptor}`)))) continue;
    return { pid: Number(entry), command: commandOf(folder) };
  }
  return null;
}

/** As the links in /proc/PID/fd name them: `socket:[12345]`. */
function listeningInodes(table: string, port: number): string[] {
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  return table
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter((fields) => fields[1]?.endsWith(suffix) === true && fields[3] === LISTENING)
    .map((fields) => `socket:[${fields[9]}]`);
}

function commandOf(folder: string): string {
  const words = read(`${folder}/cmdline`).split('\0').join(' ').trim();
  const command = words === '' ? read(`${folder}/comm`).trim() : words;
  return command.length > COMMAND_LENGTH_MAX ? `${command.slice(0, COMMAND_LENGTH_MAX - 1)}…` : command;
}

/** A process that ends meanwhile, or that is not ours to look into, has nothing to show. */
function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function list(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

function link(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}
