/** What `ringleader ring` prints: who owns how much, how well that fits the weights, what would move, where a key is. */
import { formatEndpoint } from '../base/endpoint.js';
import { showBytes } from '../base/errors.js';
import { placesOf } from '../routing/circle.js';
import { hashSpace } from '../routing/hashes.js';
import { locate } from '../routing/locate.js';
import { fairShares, type PlacedNodes } from '../routing/movement.js';
import { planCopies } from '../routing/ring.js';
import { SLOT_COUNT } from '../routing/slot.js';
import type { RingView } from './ring-view.js';

/** Nodes whose gain or loss is listed; the others are counted. */
const MOVES_LISTED = 20;

export function reportRing(view: RingView, keys: readonly string[]): string {
  const copies = copiesOf(view, view.present);
  const lines = [describePlacement(view), '', ...table(view, view.planned ?? view.present), ''];
  lines.push(...balance(view.planned ?? view.present));
  const { placement } = view.keyspace;
  if (placement.kind === 'ketama' && hashSpace(placement.hash) < 2 ** 32) {
    lines.push(
      `${placement.hash} has only ${count(hashSpace(placement.hash))} values, a small part of ketama's circle:`,
    );
    lines.push('nearly all keys are on one node. So they are with twemproxy.');
  }
  if (view.planned !== null) lines.push('', ...movement(view));
  if (keys.length > 0) lines.push('', ...keys.map((key) => whereabouts(view, copies, key)));
  return `${lines.join('\n')}\n`;
}

/** `keyspace "" of service main: pool main, 3 nodes, placed by slots` */
export function describePlacement({ service, keyspace, pool, present, planned }: RingView): string {
  const { prefix, placement } = keyspace;
  const nodes = (planned ?? present).nodes.length;
  const change = planned === null ? '' : ` after the change (${count(present.nodes.length)} before)`;
  return `keyspace "${prefix}" of service ${service}: pool ${pool.name}, ${plural(nodes, 'node')}${change}, placed by ${
    placement.kind === 'slots' ? 'slots' : `${placement.kind} of ${placement.hash}`
  }${placement.kind !== 'slots' && placement.hashTag !== null ? ` with hash tag ${placement.hashTag}` : ''}${wordsOfCopies(
    keyspace,
    nodes,
  )}`;
}

function wordsOfCopies(keyspace: RingView['keyspace'], nodes: number): string {
  if (keyspace.mode === 'lock' && keyspace.provider === 'store') return ', but its locks are in the coordination store';
  return isOnOne(keyspace) ? '' : `, ${keyspace.copies ?? nodes} copies of each key`;
}

/** Whether there are no copies on the nodes. */
function isOnOne(keyspace: RingView['keyspace']): keyspace is Exclude<RingView['keyspace'], { copies: unknown }> {
  return keyspace.mode === 'sharded' || (keyspace.mode === 'lock' && keyspace.provider === 'store');
}

/** Per slot its nodes in a row, by their places; null where each key is on one. */
function copiesOf({ keyspace }: RingView, { nodes }: PlacedNodes): Uint16Array | null {
  return isOnOne(keyspace) ? null : planCopies(nodes, keyspace.copies ?? nodes.length);
}

function table(view: RingView, placed: PlacedNodes): string[] {
  const { keyspace } = view;
  const { nodes, circle } = placed;
  const places = placesOf(circle, nodes.length);
  const copies = copiesOf(view, placed);
  const fair = fairShares(nodes);
  const { kind } = keyspace.placement;
  const rows = nodes.map(({ name, weight }, node) => {
    const share = (places[node] as number) / circle.size;
    const slots = kind === 'slots' ? [count(places[node] as number)] : [];
    const part = copies === null ? [] : [percent(copies.filter((owner) => owner === node).length / copies.length)];
    const byWeight = [percent(fair[node] as number), relation(share, fair[node])];
    return [name, String(weight), ...slots, percent(share), ...byWeight, ...part];
  });
  const ofWhat = kind === 'slots' ? ['slots', 'share'] : ['share of hashes'];
  const ofCopies = copies === null ? [] : ['of all copies'];
  return aligned([['node', 'weight', ...ofWhat, 'by weight', 'filled', ...ofCopies], ...rows]);
}

/** How far the fullest and the emptiest node are from what their weights say. */
function balance({ nodes, circle }: PlacedNodes): string[] {
  const places = placesOf(circle, nodes.length);
  const filled = fairShares(nodes).map((fair, node) => (places[node] as number) / circle.size / fair);
  const most = filled.indexOf(Math.max(...filled));
  const least = filled.indexOf(Math.min(...filled));
  if (nodes.length === 1) return ['It owns everything.'];
  const of = (node: number) => `${nodes[node]?.name} owns ${relation(filled[node] as number, 1)} of its fair share`;
  return [`Fullest: ${of(most)}. Emptiest: ${of(least)}.`];
}

function movement(view: RingView): string[] {
  const { keyspace, present, planned } = view;
  if (planned === null) return [];
  const { moved, unavoidable, lost, gained } = planned.movement;
  const { size } = present.circle;
  const isSlots = keyspace.placement.kind === 'slots';
  const amount = (part: number) =>
    isSlots ? `${percent(part)} (${count(Math.round(part * size))} slots)` : percent(part);
  const times =
    unavoidable > 0 ? `, ${(moved / unavoidable).toFixed(2)} times the unavoidable ${percent(unavoidable)}` : '';
  const changes = [
    ...present.nodes.map(({ name }, node) => ({ name, verb: 'gives', part: lost[node] as number })),
    ...planned.nodes.map(({ name }, node) => ({ name, verb: 'gets', part: gained[node] as number })),
  ]
    .filter(({ part }) => part > 0)
    .sort((a, b) => b.part - a.part);
  const listed = changes.slice(0, MOVES_LISTED).map(({ name, verb, part }) => [name, verb, amount(part)]);
  const rest = changes.length - listed.length;
  return [
    `What would move: ${amount(moved)}${times}.`,
    ...aligned(listed),
    ...(rest > 0 ? [`  and ${count(rest)} smaller gains and losses`] : []),
    ...movedCopies(view),
    'Ringleader does not move keys yet: such a change leaves those keys where they are, and unseen.',
  ];
}

/** How many copies would be made on nodes that had none of the slot. */
function movedCopies(view: RingView): string[] {
  const { present, planned } = view;
  const before = copiesOf(view, present);
  const after = planned === null ? null : copiesOf(view, planned);
  if (before === null || after === null || planned === null) return [];
  const copies = before.length / SLOT_COUNT;
  let made = 0;
  for (let at = 0; at < after.length; at++) {
    const first = at - (at % copies);
    const had = Array.from(before.subarray(first, first + copies), (node) => present.nodes[node]?.name);
    if (!had.includes(planned.nodes[after[at] as number]?.name)) made++;
  }
  return [`The above is of first copies. Of all copies ${percent(made / after.length)} would be on another node.`];
}

function whereabouts(view: RingView, copies: Uint16Array | null, text: string): string {
  const { keyspace, pool, present, planned } = view;
  const { placement } = keyspace;
  const key = Buffer.from(text);
  const { place, node, colocatedBy } = locate(placement, present.circle, key);
  const noun = { slots: 'slot', ketama: 'hash', modula: 'remainder' }[placement.kind];
  const reason = colocatedBy === null ? '' : ` by ${showBytes(colocatedBy, 0, colocatedBy.length)}`;
  const address = pool.nodes[node] === undefined ? '' : ` (${formatEndpoint(pool.nodes[node].address)})`;
  const after = planned === null ? '' : `, then ${planned.nodes[locate(placement, planned.circle, key).node]?.name}`;
  const others = copies === null ? '' : `, copies on ${namesOf(present, copies, place).join(' and ')}`;
  return `key ${showBytes(key, 0, key.length)}: ${noun} ${place}${reason}, node ${present.nodes[node]?.name}${address}${others}${after}`;
}

/** The nodes of the copies of a slot but for the first. */
function namesOf({ nodes }: PlacedNodes, copies: Uint16Array, slot: number): (string | undefined)[] {
  const count = copies.length / SLOT_COUNT;
  return Array.from(copies.subarray(slot * count + 1, (slot + 1) * count), (node) => nodes[node]?.name);
}

/** The columns under each other, the first to the left, the others to the right. */
function aligned(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row) => {
    const cells = row.map((cell, column) => {
      return column === 0 ? cell.padEnd(widths[column] as number) : cell.padStart(widths[column] as number);
    });
    return `  ${cells.join('  ')}`.trimEnd();
  });
}

function relation(share: number, fair: number | undefined): string {
  return `${((share / (fair ?? share)) * 100).toFixed(1)} %`;
}

function percent(part: number): string {
  return `${(part * 100).toFixed(2)} %`;
}

function count(number: number): string {
  return number.toLocaleString('en-US');
}

function plural(number: number, noun: string): string {
  return `${count(number)} ${noun}${number === 1 ? '' : 's'}`;
}
