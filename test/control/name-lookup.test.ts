import t from 'tap';
import { NameLookup } from '../../src/control/name-lookup.js';

/** A resolver that answers when the test says so. */
function slowResolver() {
  const questions: { host: string; answer: (address: string) => void; refuse: (error: Error) => void }[] = [];
  const names = new NameLookup(
    (host) => new Promise((resolve, reject) => questions.push({ host, answer: resolve, refuse: reject })),
  );
  return { names, questions };
}

t.test('who asks for a name that is being looked up gets that answer', async (t) => {
  const { names, questions } = slowResolver();
  const answers = Promise.all([names.lookUp('a'), names.lookUp('b'), names.lookUp('a'), names.lookUp('a')]);
  t.same(
    questions.map(({ host }) => host),
    ['a', 'b'],
  );
  questions[0]?.answer('10.0.0.1');
  questions[1]?.answer('10.0.0.2');
  t.same(await answers, ['10.0.0.1', '10.0.0.2', '10.0.0.1', '10.0.0.1']);
});

t.test('a name is looked up again once there was an answer', async (t) => {
  const { names, questions } = slowResolver();
  const first = names.lookUp('a');
  questions[0]?.refuse(new Error('getaddrinfo ENOTFOUND a'));
  await t.rejects(first, { message: 'getaddrinfo ENOTFOUND a' });
  const second = names.lookUp('a');
  t.equal(questions.length, 2);
  questions[1]?.answer('10.0.0.1');
  t.equal(await second, '10.0.0.1');
});

t.test('the system knows localhost', async (t) => {
  t.match(await new NameLookup().lookUp('localhost'), /^(127\.|::1$)/);
});
