/** The image and the examples around it, as far as they can be judged without an engine: test/slow/container.test.ts builds. */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { validate } from 'dockerfile-utils';
import t from 'tap';
import { parse, parseAllDocuments } from 'yaml';
import { type Config, parseConfig } from '../src/config.js';
import { startChild } from './help/child.js';
import { allowedInBuild, argumentsOf, copiedFromCheckout, execForm, stagesOf } from './help/dockerfile.js';

/** Tests run in the checkout's folder. */
function read(path: string): string {
  return readFileSync(join(process.cwd(), path), 'utf8');
}

const DOCKERFILE = read('Dockerfile');
const STAGES = stagesOf(DOCKERFILE);
const IMAGE = STAGES.at(-1) as (typeof STAGES)[number];
const CONFIG_PATH = '/etc/ringleader/ringleader.yml';
/** Milliseconds that the proxy takes for ending beyond drainTimeout (control/supervisor.ts). */
const DRAIN_GRACE_MS = 2_000;

function configOf(text: string, environment: Record<string, string>): Config {
  const result = parseConfig(text, { workers: 1, environment });
  if (!('config' in result)) throw new Error(result.problems.map(({ line, text }) => `${line}: ${text}`).join('\n'));
  t.same(result.warnings, [], 'an example warns of nothing');
  return result.config;
}

t.test('the Dockerfile has no fault that the linter knows', async (t) => {
  t.same(
    validate(DOCKERFILE).map(({ message, range }) => `${range.start.line + 1}: ${message}`),
    [],
  );
  t.ok(validate('FROM a\nHEALTHCHECK --intervall=1s CMD x\n').length > 0, 'the linter sees faults');
});

t.test('the image runs node itself, as a user with a number, and says when it is well', async (t) => {
  t.match(DOCKERFILE, /^ARG NODE_IMAGE=node:\d+-[a-z]+-slim$/m);
  t.same([...new Set(STAGES.map(({ image }) => image))], ['${NODE_IMAGE}'], 'one base for all stages');
  t.same(execForm(IMAGE, 'ENTRYPOINT'), ['node', '/app/dist/src/main.js']);
  t.same(execForm(IMAGE, 'CMD'), ['start', '--config', CONFIG_PATH]);
  t.same(execForm(IMAGE, 'HEALTHCHECK'), ['node', '/app/dist/src/main.js', 'health', '--config', CONFIG_PATH]);
  const [user] = argumentsOf(IMAGE, 'USER');
  t.match(user, /^[1-9]\d*:[1-9]\d*$/);
  t.same(argumentsOf(IMAGE, 'RUN'), [], 'nothing is run in the last stage');
  t.notMatch(argumentsOf(IMAGE, 'COPY').join('\n'), 'scripts', 'the set-up of a checkout is not in the image');
  for (const label of ['title', 'description', 'licenses', 'version', 'revision']) {
    t.match(argumentsOf(IMAGE, 'LABEL').join(' '), `org.opencontainers.image.${label}=`);
  }
});

t.test('the build gets what it copies and nothing else', async (t) => {
  const copied = STAGES.flatMap(copiedFromCheckout);
  t.same([...allowedInBuild(read('.dockerignore'))].sort(), [...new Set(copied)].sort());
});

interface Compose {
  services: Record<string, Record<string, unknown>>;
  configs: Record<string, { file?: string; content?: string; environment?: string }>;
  volumes: Record<string, unknown>;
}

const COMPOSE = 'conf/compose.yaml';

/** What `${NAME:-default}` is when nobody has set the variable: Compose fills in its own file, and no other. */
function withDefaults(text: string): string {
  return text.replaceAll(/\$\{\w+:-([^}]*)\}/g, '$1');
}

t.test('the Compose file puts no text of its own into a container that is read-only', async (t) => {
  // Compose copies such text into the container, which the engine then refuses; a file is mounted.
  const { services, configs } = parse(read(COMPOSE), { merge: true }) as Compose;
  let seen = 0;
  for (const [name, service] of Object.entries(services)) {
    if (service['read_only'] !== true) continue;
    const mounts = [...((service['configs'] ?? []) as unknown[]), ...((service['secrets'] ?? []) as unknown[])];
    for (const mount of mounts) {
      const source = typeof mount === 'string' ? mount : (mount as { source: string }).source;
      t.same(Object.keys(configs[source] ?? {}), ['file'], `${name} mounts ${source}`);
      seen++;
    }
  }
  t.ok(seen > 0);
});

t.test('ringleader check takes the file that the Compose file mounts, with the variables that it sets', async (t) => {
  const { services, configs } = parse(withDefaults(read(COMPOSE)), { merge: true }) as Compose;
  const file = join(dirname(COMPOSE), configs['ringleader']?.file ?? '');
  const env = services['ringleader']?.['environment'] as Record<string, string>;
  const words = ['dist/src/main.js', 'check', '--config', file];
  const check = await startChild(process.execPath, words, { env });
  t.same(await check.ended, { code: 0, signal: null }, check.output());
  t.match(check.output(), 'good; listens on 0.0.0.0:6380; nodes: 3 in main');
  const without = await startChild(process.execPath, words, { env: { RINGLEADER_PASSWORD: '' } });
  t.not((await without.ended).code, 0, 'the password is the variable');
});

t.test('the commands in the Compose file reach the port that it publishes', async (t) => {
  const text = read(COMPOSE);
  const [, port, password] = /^# +redis-cli -p (\d+) -a (\S+) /m.exec(text) ?? [];
  const { services } = parse(withDefaults(text), { merge: true }) as Compose;
  const ports = services['ringleader']?.['ports'];
  t.ok(Array.isArray(ports) && ports.includes(`127.0.0.1:${port}:${port}`));
  t.same(services['ringleader']?.['environment'], { RINGLEADER_PASSWORD: password });
  for (const command of text.matchAll(/redis-cli .*/g)) t.match(command[0], ` -p ${port} `);
});

t.test('the Compose file fits the image and the configuration in it', async (t) => {
  const compose = parse(read(COMPOSE), { merge: true }) as Compose;
  const { ringleader, app } = compose.services;
  const file = join(dirname(COMPOSE), compose.configs['ringleader']?.file ?? '');
  const config = configOf(read(file), { RINGLEADER_PASSWORD: 'x' });
  t.equal(config.auth.mode, 'password');
  t.same(config.listen, [{ kind: 'tcp', host: '0.0.0.0', port: 6380 }]);
  t.same(config.admin, { kind: 'tcp', host: '0.0.0.0', port: 9121 });
  t.same(ringleader?.['ports'], ['127.0.0.1:6380:6380', '127.0.0.1:9121:9121']);
  t.same(ringleader?.['configs'], [{ source: 'ringleader', target: CONFIG_PATH }]);
  t.match(ringleader, { read_only: true, cap_drop: ['ALL'], build: '..' });
  const grace = /^(\d+)s$/.exec(String(ringleader?.['stop_grace_period']))?.[1];
  t.ok(Number(grace) * 1_000 > config.drainTimeoutMs + DRAIN_GRACE_MS);
  t.match(app?.['depends_on'], { ringleader: { condition: 'service_healthy' } }, 'which the HEALTHCHECK is for');
  for (const { address } of config.pools.flatMap(({ nodes }) => nodes)) {
    if (address.kind !== 'tcp') throw new Error('a unix socket');
    const server = compose.services[address.host];
    t.match(server?.['image'], /^redis:7\.0/, `${address.host}, of the version of the command table`);
    const [volume = ''] = String(server?.['volumes']).split(':');
    t.ok(volume in compose.volumes, volume);
  }
});

interface Container {
  name: string;
  restartPolicy?: string;
  securityContext: Record<string, unknown>;
  resources: { limits: Record<string, string>; requests: Record<string, string> };
  ports?: { name: string; containerPort: number }[];
  volumeMounts?: { name: string; mountPath: string }[];
  [probe: string]: unknown;
}

t.test('the Kubernetes example fits the image and the configuration in it', async (t) => {
  const documents = parseAllDocuments(read('conf/kubernetes-sidecar.yaml'));
  for (const { errors, warnings } of documents) t.same([...errors, ...warnings], []);
  const [configMap, deployment] = documents.map((document) => document.toJS());
  const config = configOf(configMap.data['ringleader.yml'], { REDIS_PASSWORD: 'x' });
  t.same(config.listen, [{ kind: 'tcp', host: '127.0.0.1', port: 6380 }], 'its own pod only');
  t.equal(config.pools[0]?.nodes[0]?.password, 'x');
  const pod = deployment.spec.template.spec;
  t.same(deployment.spec.selector.matchLabels, deployment.spec.template.metadata.labels);
  const [sidecar] = pod.initContainers as Container[];
  if (sidecar === undefined) throw new Error('no sidecar');
  t.equal(sidecar.restartPolicy, 'Always', 'a native sidecar: started before the application, ended after it');
  t.notOk('lifecycle' in sidecar, 'so it needs no preStop');
  t.match(pod.securityContext, { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } });
  t.same(sidecar.securityContext, {
    ...{ runAsUser: 1000, runAsGroup: 1000, allowPrivilegeEscalation: false, readOnlyRootFilesystem: true },
    capabilities: { drop: ['ALL'] },
  });
  t.equal(argumentsOf(IMAGE, 'USER')[0], '1000:1000');
  const port = config.admin?.kind === 'tcp' ? config.admin.port : 0;
  t.same(sidecar.ports, [{ name: 'admin', containerPort: port }]);
  for (const [probe, path] of [
    ['startupProbe', '/readyz'],
    ['readinessProbe', '/readyz'],
    ['livenessProbe', '/livez'],
  ] as const) {
    t.match(sidecar[probe], { httpGet: { path, port: 'admin' } }, probe);
  }
  t.same(sidecar.volumeMounts, [{ name: 'ringleader', mountPath: '/etc/ringleader', readOnly: true }]);
  t.ok(Object.keys(configMap.data).some((file) => `/etc/ringleader/${file}` === CONFIG_PATH));
  t.same(pod.volumes, [{ name: 'ringleader', configMap: { name: configMap.metadata.name } }]);
  t.ok(sidecar.resources.limits['memory'] && sidecar.resources.requests['cpu']);
  t.ok(pod.terminationGracePeriodSeconds * 1_000 >= 30_000 + config.drainTimeoutMs + DRAIN_GRACE_MS);
});
