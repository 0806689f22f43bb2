import t from 'tap';
import { DEFAULT_LIMITS } from '../../src/base/limits.js';
import { clientRoom } from '../../src/control/client-room.js';
import { findRoom, fittingLimits } from '../../src/control/room.js';

t.test('limits are what a configuration says, or what there is room for', async (t) => {
  const room = { workers: 2, workerMemory: 1_000, descriptors: 500 };
  const asked = { ...DEFAULT_LIMITS, workerMemoryMax: 2_000, clientsMax: 400 };
  t.same(fittingLimits(asked, room, 10), { ...asked, workerMemoryMax: 1_000, clientsMax: clientRoom(500, 2, 10) });
  t.same(fittingLimits(asked, { ...room, workerMemory: 3_000, descriptors: 1_000 }, 10), asked);
});

t.test('a process has room', async (t) => {
  const { workers, workerMemory, descriptors } = findRoom(3);
  t.equal(workers, 3);
  t.ok(workerMemory > 0);
  t.ok(descriptors > 0);
});
