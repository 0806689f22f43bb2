/** The io_uring driver's storm of connections that are killed at any time, at length. */
import t from 'tap';
import { DRIVERS, OLD_URING } from '../transport/rig.js';
import { weather } from '../transport/uring-storm.js';

const CONNECTIONS = 100_000;

for (const [kind, start] of Object.entries({ io_uring: DRIVERS.io_uring, 'io_uring of Linux 5.19': OLD_URING })) {
  t.test(`${kind}: of ${CONNECTIONS} connections that are killed at any time none hears of another`, (t) =>
    weather(t, start, CONNECTIONS),
  );
}
