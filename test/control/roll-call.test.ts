import t from 'tap';
import { type Member, RollCall } from '../../src/control/roll-call.js';
import type { Answer, Question, ToWorker } from '../../src/messages.js';
import { ANY_CLIENT } from '../../src/proxy/client-filter.js';

const KILL: Question = { kind: 'kill-clients', service: 0, filter: ANY_CLIENT };
const killed = (count: number): Answer => ({ kind: 'kill-clients', killed: count });

/** Workers that keep what they are told. */
function workers(rollCall: RollCall, count: number): { member: Member; told: ToWorker[] }[] {
  return Array.from({ length: count }, (_, index) => {
    const told: ToWorker[] = [];
    return { member: rollCall.join(index, (message) => told.push(message)), told };
  });
}

t.test('all are asked, the asker too, and the asker gets all answers', async (t) => {
  const rollCall = new RollCall();
  const [a, b, c] = workers(rollCall, 3) as [W, W, W];
  rollCall.ask(b.member, 7, KILL);
  for (const { told } of [a, b, c])
    t.same(told, [{ kind: 'question', call: 1, question: KILL, isOwn: told === b.told }]);
  rollCall.answer(c.member, 1, killed(1));
  rollCall.answer(b.member, 1, killed(2));
  t.equal(b.told.length, 1, 'one is awaited');
  rollCall.answer(b.member, 1, killed(100));
  rollCall.answer(a.member, 1, killed(4));
  t.same(b.told[1], { kind: 'answers', id: 7, answers: [killed(1), killed(2), killed(4)], silent: [] });
  t.equal(a.told.length + c.told.length, 2, 'nobody else hears of them');
});

t.test('who goes is no longer awaited, and who has gone is not asked', async (t) => {
  const rollCall = new RollCall();
  const [a, b, c] = workers(rollCall, 3) as [W, W, W];
  rollCall.leave(c.member);
  rollCall.ask(a.member, 1, KILL);
  t.equal(c.told.length, 0);
  rollCall.answer(a.member, 1, killed(1));
  rollCall.leave(b.member);
  t.same(a.told[1], { kind: 'answers', id: 1, answers: [killed(1)], silent: [] });
});

t.test('the question of an asker that goes is forgotten, and its successor does not hear of it', async (t) => {
  const rollCall = new RollCall();
  const [a, b] = workers(rollCall, 2) as [W, W];
  rollCall.ask(a.member, 1, KILL);
  rollCall.leave(a.member);
  const told: ToWorker[] = [];
  rollCall.join(0, (message) => told.push(message));
  rollCall.answer(b.member, 1, killed(1));
  t.same(told, []);
  t.equal(a.told.length, 1);
});

t.test('a worker that does not answer in time is named, and what it says later is dropped', async (t) => {
  const rollCall = new RollCall(20);
  const told: ToWorker[] = [];
  let onAnswers = () => {};
  const answered = new Promise<void>((resolve) => {
    onAnswers = resolve;
  });
  const asker = rollCall.join(0, (message) => {
    told.push(message);
    if (message.kind === 'answers') onAnswers();
  });
  const [b, c] = [rollCall.join(1, () => {}), rollCall.join(2, () => {})];
  rollCall.ask(asker, 1, KILL);
  rollCall.answer(asker, 1, killed(1));
  await answered;
  t.same(told[1], { kind: 'answers', id: 1, answers: [killed(1)], silent: [1, 2] });
  rollCall.answer(b, 1, killed(1));
  rollCall.leave(c);
  t.equal(told.length, 2);
});

type W = ReturnType<typeof workers>[number];
