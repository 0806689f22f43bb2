/** Where the Redis programs of this machine are: asked of the script that `npm start` and `npm test` use too. */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

export interface RedisPrograms {
  server: string;
  cli: string;
  benchmark: string;
  /** Variables to add to the environment when running them. */
  env: Record<string, string>;
  version: string;
}

let found: Promise<RedisPrograms> | null = null;

/** Tests run in the checkout's folder, wherever they were compiled to. */
export function redisPrograms(): Promise<RedisPrograms> {
  found ??= load();
  return found;
}

async function load(): Promise<RedisPrograms> {
  const script = pathToFileURL(join(process.cwd(), 'scripts', 'redis.mjs')).href;
  const { redisPrograms } = (await import(script)) as { redisPrograms(): RedisPrograms };
  return redisPrograms();
}
