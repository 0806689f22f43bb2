/** The io_uring driver's storm of connections that are killed at any time, at length. */
import t from 'tap';
import { DRIVERS } from '../transport/rig.js';
import { weather } from '../transport/uring-storm.js';

const CONNECTIONS = 100_000;

t.test(`of ${CONNECTIONS} connections that are killed at any time none hears of another`, (t) =>
  weather(t, DRIVERS.io_uring, CONNECTIONS),
);
