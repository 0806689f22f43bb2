import t from 'tap';
import { type Ballot, makeBallot, NEVER } from '../../src/replica/ballot.js';
import { type Lineage, lineageLength, lineageOn, NO_LINEAGE, standsOn } from '../../src/replica/lineage.js';
import type { KeyFacts } from '../../src/replica/step.js';
import { type Random, randomFromSeed } from '../help/random.js';

const PROPOSERS = 'PQRSTUV';

/** `4P`: counter and proposer. */
function ballotOf(text: string): Ballot {
  const proposer = `${PROPOSERS.indexOf(text.slice(-1)) + 1}`.padStart(20, '0');
  return makeBallot(0, Number(text.slice(0, -1)), proposer);
}

function factsOf(accepted: Ballot, lineage: Lineage): KeyFacts {
  return { accepted, lineage, live: true, expireAt: 0 };
}

/** What comes of ballots that are made one on the other. */
function stateOf(path: string, horizon: Ballot = NEVER): KeyFacts {
  let facts = factsOf(NEVER, NO_LINEAGE);
  for (const text of path.split(' ')) {
    const ballot = ballotOf(text);
    facts = factsOf(ballot, lineageOn(facts, ballot, horizon));
  }
  return facts;
}

t.test('whose writes a state stands on', async (t) => {
  const cases: readonly (readonly [path: string, ballot: string, stands: boolean | null])[] = [
    // Its own ballot, and larger ones.
    ['4P', '4P', true],
    ['4P', '5P', false],
    ['4P', '5Q', false],
    // Where a newer one of the same proposer is there.
    ['4P 6P', '4P', null],
    ['2P 4R 6P 7R', '3P', null],
    ['4P 6P', '5Q', false],
    ['4P 6P', '3Q', false],
    // The last of each is named.
    ['1P 2Q', '1P', true],
    ['1P 2Q 3R 4Q 5R 6Q 7R', '1P', true],
    ['1P 2Q 3R 4Q 5R 6Q 7R', '2P', false],
    ['2Q 4R 5R', '3P', false],
    ['2Q 3P 5R 6R', '3P', true],
    ['2Q 4R 5R', '1P', false],
    ['2P 4R 6P 7R', '6P', true],
    // Five others are too many.
    ['1P 2Q 3R 4S 5T', '1P', true],
    ['1P 2Q 3R 4S 5T 6U', '1P', null],
    ['1P 2Q 3R 4S 5T 6U', '2P', false],
    ['2P 3Q 4R 5S 6T 7U', '1V', null],
    ['2P 3Q 4R 5S 6T 7U', '3V', false],
  ];
  for (const [path, ballot, stands] of cases)
    t.equal(standsOn(stateOf(path), ballotOf(ballot)), stands, `${path}: ${ballot}`);
});

t.test('what was there before a key began is not known', async (t) => {
  const state = stateOf('8Q', ballotOf('5Q'));
  t.equal(standsOn(state, ballotOf('4P')), null);
  t.equal(standsOn(state, ballotOf('6P')), false);
  t.equal(standsOn(stateOf('8Q'), ballotOf('4P')), false);
});

t.test('its length is in its first digit', async (t) => {
  for (const path of ['4P', '4P 5Q', '1P 2Q 3R', '1P 2Q 3R 4S 5T 6P']) {
    const { lineage } = stateOf(path);
    t.equal(lineageLength(`x${lineage}10`, 1), lineage.length, path);
  }
});

t.test('it never says what is not so', async (t) => {
  const random = randomFromSeed((text) => t.comment(text));
  for (let round = 0; round < 2_000; round++) {
    const path = randomPath(random);
    const state = stateOf(path.join(' '));
    for (let counter = 1; counter <= 12; counter++) {
      for (const proposer of PROPOSERS) {
        const text = `${counter}${proposer}`;
        const stands = standsOn(state, ballotOf(text));
        if (stands !== null && stands !== path.includes(text)) t.fail(`${path.join(' ')}: ${text} ${stands}`);
      }
    }
  }
});

function randomPath(random: Random): string[] {
  const path: string[] = [];
  for (let counter = 1; counter <= 12; counter++) {
    if (random.chance(60)) path.push(`${counter}${random.pick([...PROPOSERS])}`);
  }
  return path.length === 0 ? ['1P'] : path;
}
