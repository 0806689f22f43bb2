/** Commands on keys whose copies no operation agrees on, quorum and weak, through two proxies: what both must do in the same way. */
import type { Test } from 'tap';
import type { ReplicatedDeployment } from '../help/replicated-deployment.js';
import { connect, say } from '../help/resp-client.js';
import { compareCommands } from './single-key-commands.js';

export function compareCopiedCommands(t: Test, place: ReplicatedDeployment): void {
  // A value that was copied has the encoding that it was copied with.
  compareCommands(t, place, ([name, what]) => name === 'object' && what === 'encoding');

  t.test('a transaction on one key is carried out whole, and what cannot be promised is refused', async (t) => {
    const client = await connect(t, place.proxies[0].port);
    for (const words of [['MULTI'], ['SET', 'block', '1'], ['INCR', 'block']]) await client.raw(...words);
    t.equal(await say(client, 'EXEC'), '*2\r\n+OK\r\n:2\r\n');
    const other = await connect(t, place.proxies[1].port);
    t.equal(await say(other, 'GET', 'block'), '$1\r\n2\r\n');
    t.match(await say(client, 'WATCH', 'block'), /^-ERR WATCH would not see every write/);
    t.match(await say(client, 'FLUSHALL'), /^-ERR .*replicated/);
    t.equal(await say(client, 'MSET', 'm:1', 'a', 'm:2', 'b', 'm:3', 'c'), '+OK\r\n');
    t.equal(await say(other, 'MGET', 'm:3', 'm:1', 'none'), '*3\r\n$1\r\nc\r\n$1\r\na\r\n$-1\r\n');
    t.equal(await say(other, 'DEL', 'm:1', 'm:2', 'm:3', 'none'), ':3\r\n');
  });
}
