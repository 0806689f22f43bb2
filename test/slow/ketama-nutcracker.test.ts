/** Our ketama and modula against a running nutcracker, 100,000 keys for each hash function. */
import t from 'tap';
import { testAgainstNutcracker } from '../help/twemproxy-twin.js';

await testAgainstNutcracker(t, 100_000);
