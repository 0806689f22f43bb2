import t from 'tap';
import { parseConfig } from '../../src/config.js';
import { memberName } from '../../src/control/member-name.js';

function nameOf(rest: string): string {
  const result = parseConfig(`pools: { main: { nodes: [redis://h] } }\nprotectedMode: no\n${rest}`, {
    workers: 1,
    environment: {},
  });
  if ('config' in result) return memberName(result.config, 'box-1.example');
  throw new Error(JSON.stringify(result.problems));
}

t.test(
  'a member is called by where clients find it, and by its machine where others have the address, too',
  async (t) => {
    const TABLE: [string, string][] = [
      ['', 'box-1.example:6380'],
      ['listen: [10.0.0.1:1, 10.0.0.2:2]', '10.0.0.1:1'],
      ['listen: "[fd00::1]:1"', '[fd00::1]:1'],
      ['listen: 0.0.0.0:7', 'box-1.example:7'],
      ['listen: "[::]:7"', 'box-1.example:7'],
      ['listen: unix:/run/ring leader.sock', 'box-1.example:-run-ring-leader.sock'],
      ['services: [{ name: b, listen: 10.0.0.1:2 }, { name: a, listen: 10.0.0.1:1 }]', '10.0.0.1:2'],
      ['coordination: { member: "a:1" }', 'a:1'],
    ];
    for (const [rest, expected] of TABLE) t.equal(nameOf(rest), expected, rest);
  },
);
