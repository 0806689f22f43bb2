/** docs/CLIENTS.md is held to the packages that the tests use. */
import { existsSync, readFileSync } from 'node:fs';
import t from 'tap';

const DOCUMENT = readFileSync('docs/CLIENTS.md', 'utf8');
const { dependencies } = JSON.parse(readFileSync('test/e2e/clients/package.json', 'utf8')) as {
  dependencies: Record<string, string>;
};
/** Of the libraries that others are tried with. */
const COMPANIONS = ['socket.io-client'];

t.test('every client that the tests use is named with its version', async (t) => {
  for (const [name, wanted] of Object.entries(dependencies).filter(([name]) => !COMPANIONS.includes(name))) {
    const [, realName = name, version = wanted] = /^npm:(.+)@(.+)$/.exec(wanted) ?? [];
    const lines = DOCUMENT.split('\n').filter((line) => line.startsWith('|') && line.includes(`\`${realName}\``));
    t.ok(
      lines.some((line) => line.includes(version)),
      `${realName} ${version}`,
    );
  }
});

t.test('the tests that load ioredis directly have the same', async (t) => {
  const { devDependencies } = JSON.parse(readFileSync('package.json', 'utf8')) as {
    devDependencies: Record<string, string>;
  };
  t.equal(devDependencies['ioredis'], dependencies['ioredis']);
});

t.test('every test and example that it names is there', async (t) => {
  const paths = [...DOCUMENT.matchAll(/`(test\/[^`]+)`|\]\(\.\.\/([^)]+)\)/g)].map(([, test, link]) => test ?? link);
  t.ok(paths.length >= 7);
  for (const path of paths) t.ok(existsSync(path as string), path as string);
});
