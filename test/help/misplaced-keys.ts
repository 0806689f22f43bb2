/** What lies on a node where no route leads to it. */
import type { Deployment } from './deployment.js';
import { RespClient } from './resp-client.js';

/** `key on node a`, of all nodes of the deployment that are up; sorted. */
export async function misplacedKeys(deployment: Deployment, database = '0'): Promise<string[]> {
  const { servers, names } = deployment;
  const found: string[] = [];
  for (const [node, { port }] of servers.entries()) {
    const client = await RespClient.connect(port);
    await client.command('SELECT', database);
    const keys = (await client.command('KEYS', '*')) as string[];
    client.close();
    found.push(...keys.filter((key) => deployment.nodeOf(key) !== node).map((key) => `${key} on node ${names[node]}`));
  }
  return found.sort();
}
