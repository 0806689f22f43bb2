import t from 'tap';
import { type Member, Roster } from '../../src/replica/roster.js';

class Named implements Member {
  place = -1;
  readonly name: string;

  constructor(name: string) {
    this.name = name;
  }
}

function rosterOf(names: string): { roster: Roster<Named>; members: Map<string, Named> } {
  const roster = new Roster<Named>();
  const members = new Map([...names].map((name) => [name, new Named(name)]));
  for (const member of members.values()) roster.add(member);
  return { roster, members };
}

function namesIn(roster: Roster<Named>): string {
  const names: string[] = [];
  roster.each(({ name }) => names.push(name));
  return names.sort().join('');
}

t.test('who was taken out of a roster is not in it any more, and the others are', async (t) => {
  for (const gone of 'abcd') {
    const { roster, members } = rosterOf('abcd');
    roster.remove(members.get(gone) as Named);
    t.equal(namesIn(roster), 'abcd'.replace(gone, ''));
    t.equal(roster.size, 3);
  }
});

t.test('who was moved to the place of another can be taken out', async (t) => {
  const { roster, members } = rosterOf('abcd');
  for (const name of 'adbc') roster.remove(members.get(name) as Named);
  t.equal(roster.size, 0);
  t.equal(namesIn(roster), '');
});

t.test('while each is told, any may go, and none of those that stay is passed over', async (t) => {
  for (const teller of 'abcde') {
    for (const gone of 'abcde') {
      const { roster, members } = rosterOf('abcde');
      const told = new Set<string>();
      roster.each((member) => {
        told.add(member.name);
        if (member.name === teller && members.has(gone)) {
          roster.remove(members.get(gone) as Named);
          members.delete(gone);
        }
      });
      for (const name of members.keys()) t.ok(told.has(name), `${name}, when ${teller} has taken ${gone} out`);
    }
  }
});

t.test('who comes while each is told is told the next time', async (t) => {
  const { roster } = rosterOf('a');
  const told: string[] = [];
  const tell = ({ name }: Named) => {
    told.push(name);
    if (roster.size === 1) roster.add(new Named('b'));
  };
  roster.each(tell);
  t.same(told, ['a']);
  roster.each(tell);
  t.same(told.slice(1).sort(), ['a', 'b']);
});

t.test('to take out who is not in it is a bug that shows', async (t) => {
  const { roster, members } = rosterOf('ab');
  roster.remove(members.get('b') as Named);
  t.throws(() => roster.remove(members.get('b') as Named), /does not stand in the roster/);
});
