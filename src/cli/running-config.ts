/**
 * Single values of the configuration that a proxy runs by. Nothing else of the file is looked at: a proxy goes on when its file has become
 * bad, and a secret that is in the file need not be in the environment of who asks.
 */
import { parseListenAddress } from '../base/address.js';
import type { Endpoint } from '../base/endpoint.js';
import { expandVariables } from '../base/environment.js';
import { YamlSource } from '../base/yaml-source.js';
import { readText } from './text-file.js';

type Path = readonly (string | number)[];

export class RunningConfig {
  readonly file: string;
  private readonly source: YamlSource;

  /** Throws an error in plain words. */
  constructor(file: string) {
    this.file = file;
    this.source = new YamlSource(readText(file));
    if (this.source.problems.length > 0)
      throw new Error(`${file} is not valid YAML: ringleader check --config ${file}`);
  }

  /** As it is written. */
  valueAt(path: Path): unknown {
    return this.source.valueAt([...path]);
  }

  /** The text there with its variables filled in; null where there is no text. Throws an error in plain words. */
  textAt(path: Path): string | null {
    const written = this.valueAt(path);
    if (typeof written !== 'string') return null;
    const expansion = expandVariables(written, process.env);
    if ('faults' in expansion) throw new Error(`${this.file}: ${path.join('.')}: ${expansion.faults.join('; ')}`);
    return expansion.text;
  }

  /** Where somebody listens, and is reached; null where no text stands there. Throws an error in plain words. */
  addressAt(path: Path): Endpoint | null {
    const text = this.textAt(path);
    if (text === null) return null;
    const endpoint = parseListenAddress(text);
    if ('fault' in endpoint)
      throw new Error(`${this.file}: ${path.join('.')}: ${endpoint.fault}: ringleader check --config ${this.file}`);
    return reachable(endpoint);
  }
}

/** Who listens on all addresses is reached by loopback. */
export function reachable(endpoint: Endpoint): Endpoint {
  if (endpoint.kind === 'unix') return endpoint;
  if (endpoint.host === '0.0.0.0') return { ...endpoint, host: '127.0.0.1' };
  return /^[0:]+$/.test(endpoint.host) ? { ...endpoint, host: '::1' } : endpoint;
}
