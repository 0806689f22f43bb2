/** What lies in src/: text by path relative to it, `routing/ring.ts`. Tests run in the checkout's folder. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

export function readSources(): Map<string, string> {
  const root = join(process.cwd(), 'src');
  const paths = readdirSync(root, { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.ts'));
  return new Map(paths.map((path) => [path.replaceAll('\\', '/'), readFileSync(join(root, path), 'utf8')]));
}
