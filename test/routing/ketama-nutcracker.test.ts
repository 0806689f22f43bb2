/** Our ketama and modula against a running nutcracker; test/slow has the same with many more keys. */
import t from 'tap';
import { testAgainstNutcracker } from '../help/twemproxy-twin.js';

await testAgainstNutcracker(t, 5_000);
