/** connect-redis, as its README has it used: two instances of an application share the sessions of their visitors. */
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import t, { type Test } from 'tap';
import { deploy } from '../help/deployment.js';
import { type NodeRedisClient, nodeRedis } from '../help/node-redis.js';
import { connect } from '../help/resp-client.js';
import { testClient } from '../help/test-clients.js';

interface Session {
  views?: number;
  user?: string;
  cookie: { maxAge: number };
  regenerate(done: (error?: Error) => void): void;
  destroy(done: (error?: Error) => void): void;
}

interface Store {
  ids(): Promise<string[]>;
  all(): Promise<(Session & { id: string })[]>;
  length(): Promise<number>;
  clear(): Promise<void>;
}

type Middleware = (request: IncomingMessage, response: ServerResponse, next: (error?: Error) => void) => void;
type SessionRequest = IncomingMessage & { session: Session };

const connectRedis = await testClient('connect-redis');
const redis6 = await nodeRedis('redis-6');
const { RedisStore } = connectRedis.load() as {
  RedisStore: new (options: { client: NodeRedisClient; prefix: string }) => Store;
};
const session = (await testClient('express-session')).load() as (options: object) => Middleware;
const obstacle = connectRedis.obstacle ?? redis6.obstacle;

/** The application: a counter of views, a login, a page that changes nothing. */
function pages(request: SessionRequest, response: ServerResponse): void {
  const say = (value: unknown) => response.end(JSON.stringify(value ?? null));
  const { session } = request;
  if (request.url === '/view') {
    session.views = (session.views ?? 0) + 1;
    say(session.views);
  } else if (request.url === '/login') {
    session.regenerate(() => {
      request.session.user = 'somebody';
      request.session.cookie.maxAge = 1_000_000;
      say('welcome');
    });
  } else if (request.url === '/logout') {
    session.destroy(() => say('bye'));
  } else {
    say({ views: session.views, user: session.user });
  }
}

async function listen(t: Test, listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.closeAllConnections());
  t.teardown(() => server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

t.test(`connect-redis ${connectRedis.version}`, { skip: obstacle ?? false }, async (t) => {
  const deployment = await deploy(t);
  const start = async () => {
    const client = redis6.load().createClient({ url: `redis://127.0.0.1:${deployment.port}` });
    t.teardown(() => client.destroy());
    await client.connect();
    const store = new RedisStore({ client, prefix: 'myapp:' });
    const middleware = session({ store, resave: false, saveUninitialized: false, secret: 'keyboard cat' });
    const url = await listen(t, (request, response) => {
      middleware(request, response, () => pages(request as SessionRequest, response));
    });
    return { store, url };
  };
  const apps = await Promise.all([start(), start()]);
  const client = await connect(t, deployment.port);
  const { store } = apps[0];

  /** A browser: it keeps its cookie, and is served by one instance or the other. */
  class Visitor {
    cookie = '';

    async get(path: string, instance: number): Promise<unknown> {
      const response = await fetch(`${apps[instance]?.url}${path}`, { headers: { cookie: this.cookie } });
      this.cookie = response.headers.get('set-cookie')?.split(';')[0] ?? this.cookie;
      return response.json();
    }

    get id(): string {
      return /s%3A(.*?)\./.exec(this.cookie)?.[1] as string;
    }

    get key(): string {
      return `myapp:${decodeURIComponent(this.id)}`;
    }
  }

  const visitors = Array.from({ length: 60 }, () => new Visitor());
  t.test('each visitor has a session, whichever instance is asked', async (t) => {
    for (let view = 1; view <= 4; view++) {
      const views = await Promise.all(visitors.map((visitor) => visitor.get('/view', view % 2)));
      t.same(new Set(views), new Set([view]));
    }
    t.same(new Set(visitors.map(({ key }) => deployment.nodeOf(key))), new Set([0, 1, 2]), 'on all shards');
  });

  t.test('the store knows all sessions of the application, and no others', async (t) => {
    await client.command('SET', 'otherapp:1', '{}');
    t.equal(await store.length(), visitors.length);
    t.same((await store.ids()).sort(), visitors.map(({ key }) => key.slice('myapp:'.length)).sort());
    t.same(new Set((await store.all()).map(({ views }) => views)), new Set([4]));
  });

  t.test('a session that is only looked at lives on', async (t) => {
    const visitor = visitors[0] as Visitor;
    await client.command('EXPIRE', visitor.key, '100');
    t.same(await visitor.get('/', 1), { views: 4 });
    t.ok(((await client.command('TTL', visitor.key)) as number) > 80_000);
  });

  t.test('login has a new session take the place of the old one, logout removes it', async (t) => {
    const visitor = visitors[1] as Visitor;
    const before = visitor.key;
    t.equal(await visitor.get('/login', 0), 'welcome');
    t.not(visitor.key, before);
    t.equal(await client.command('EXISTS', before), 0);
    t.same(await visitor.get('/', 1), { user: 'somebody' });
    const seconds = (await client.command('TTL', visitor.key)) as number;
    t.ok(seconds > 900 && seconds <= 1_000, `${seconds}`);
    t.equal(await visitor.get('/logout', 1), 'bye');
    t.equal(await client.command('EXISTS', visitor.key), 0);
    t.same(await visitor.get('/', 0), {});
  });

  t.test('the store removes all sessions of the application', async (t) => {
    await store.clear();
    t.equal(await store.length(), 0);
    t.equal(await client.command('DBSIZE'), 1);
    t.equal(await visitors[2]?.get('/view', 0), 1);
  });
});
