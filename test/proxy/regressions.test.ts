/** Faults that were there, each with the test that showed it. */
import t from 'tap';
import { bulk, command, Plane } from '../help/plane.js';

t.test('a session held for a full output reads on when all of it is sent at once', async (t) => {
  const plane = new Plane({ limits: { sessionOutputSoftBytes: 100 } }).greetAll();
  const client = plane.client();
  const key = plane.key(0);
  client.send(['GET', key], ['GET', key]);
  plane.turn();
  plane.only(0).take();
  plane.only(0).answer(bulk('x'.repeat(200)), bulk('x'.repeat(200)));
  // Read while more waits than may: the session is held.
  client.send(['PING']);
  plane.turn();
  t.ok(client.connection.isPaused, 'it is held');
  client.take();
  plane.turn();
  t.equal(client.take(), '+PONG\r\n');
});

t.test('a split command whose header does not end in CR LF is split where its name begins', async (t) => {
  const plane = new Plane().greetAll();
  const client = plane.client();
  const [first, second] = [plane.key(0), plane.key(1)];
  // Redis looks at the CR only and passes over the byte behind it.
  client.sendText(command('MGET', first, second).replace('*3\r\n', '*3\rX'));
  plane.turn();
  t.equal(plane.only(0).take(), command('MGET', first));
  t.equal(plane.only(1).take(), command('MGET', second));
});

for (const line of ['POST / HTTP/1.1', 'Host: 127.0.0.1']) {
  t.test(`a browser that sends ${line} is cut off, and nothing behind it is carried out`, async (t) => {
    const plane = new Plane().greetAll();
    const client = plane.client();
    client.sendText(`${line}\r\nSET ${plane.key(0)} 1\r\n`);
    plane.turn();
    t.ok(client.isClosed);
    t.equal(plane.only(0).take(), '');
    t.match(plane.logs, [{ level: 'warn', event: 'session-closed', fields: { reason: /cross protocol scripting/ } }]);
  });
}
