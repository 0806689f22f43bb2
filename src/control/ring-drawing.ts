/**
 * What `ringleader ring --svg FILE` draws: the circle of all keys in the colours of their nodes, and beside it each node's
 * share against its fair one. With a change, the circle before lies inside the one after it, where what stays is pale.
 */
import { placesOf } from '../routing/circle.js';
import { arcAt } from '../routing/locate.js';
import { fairShares, type PlacedNodes } from '../routing/movement.js';
import { describePlacement } from './ring-report.js';
import type { RingView } from './ring-view.js';

const WIDTH = 1000;
const HEIGHT = 560;
const CENTER = { x: 260, y: 300 };
const RING_WIDTH = 56;
const OUTER_RADIUS = 200;
const INNER_RADIUS = 132;

/** The circle is drawn in so many equal steps, each with the node of its middle: finer than a pixel. */
const STEPS = 4096;

const LEGEND = { x: 540, y: 72, rowHeight: 22, rowsMax: 20, barX: 220, barWidth: 150 };
/** How full a node is at the end of its bar, in fair shares. */
const BAR_SCALE = 1.5;

/** An SVG document with a picture of each view, below one another. */
export function drawRings(views: readonly RingView[]): string {
  const height = HEIGHT * views.length;
  const pictures = views.map(
    (view, index) => `<g transform="translate(0 ${index * HEIGHT})">\n${drawRing(view)}\n</g>`,
  );
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="system-ui, sans-serif" font-size="13">
<rect width="${WIDTH}" height="${height}" fill="#fff"/>
${pictures.join('\n')}
</svg>
`;
}

function drawRing(view: RingView): string {
  const { present, planned } = view;
  const colours = new Map<string, string>();
  for (const { name } of [...present.nodes, ...(planned?.nodes ?? [])]) {
    if (!colours.has(name)) colours.set(name, colour(colours.size));
  }
  const rings: string[] = [];
  const captions: string[] = [];
  if (planned === null) {
    rings.push(drawCircle(present, null, OUTER_RADIUS, colours));
    captions.push(view.keyspace.placement.kind === 'slots' ? '16,384 slots' : 'all hashes', 'from the top, clockwise');
  } else {
    rings.push(drawCircle(planned, present, OUTER_RADIUS, colours), drawCircle(present, null, INNER_RADIUS, colours));
    captions.push('outside: after', 'inside: before', `${(planned.movement.moved * 100).toFixed(2)} % would move`);
  }
  const text = captions.map((caption, i) => {
    const y = CENTER.y + 18 * (i - (captions.length - 1) / 2);
    return `<text x="${CENTER.x}" y="${y}" text-anchor="middle" fill="#444">${escapeText(caption)}</text>`;
  });
  const title = `<text x="32" y="40" font-size="16" font-weight="600">${escapeText(describePlacement(view))}</text>`;
  return [title, ...rings, ...text, drawLegend(view, colours)].join('\n');
}

/** One path a node, with all its arcs; and a pale one with those that it had `before`. */
function drawCircle(
  { circle, nodes }: PlacedNodes,
  before: PlacedNodes | null,
  radius: number,
  colours: ReadonlyMap<string, string>,
): string {
  const paths = nodes.map(() => ({ coming: '', staying: '' }));
  const place = (step: number) => ((step + 0.5) * circle.size) / STEPS;
  // Remainders by different weights have nothing in common.
  const former = before !== null && before.circle.size === circle.size ? before : null;
  const ownerAt = (step: number) => circle.owners[arcAt(circle, place(step))] as number;
  const staysAt = (step: number) => {
    if (former === null) return false;
    return (
      former.nodes[former.circle.owners[arcAt(former.circle, place(step))] as number]?.name ===
      nodes[ownerAt(step)]?.name
    );
  };
  let start = 0;
  for (let step = 0; step < STEPS; step += 1) {
    const owner = ownerAt(step);
    const stays = staysAt(step);
    const isLast = step + 1 === STEPS || ownerAt(step + 1) !== owner || staysAt(step + 1) !== stays;
    // No arc is longer than a quarter: one that ends where it begins would vanish.
    if (!isLast && step + 1 - start < STEPS / 4) continue;
    const path = paths[owner] as { coming: string; staying: string };
    const arc = `M${point(start / STEPS, radius)}A${radius} ${radius} 0 0 1 ${point((step + 1) / STEPS, radius)}`;
    path[stays ? 'staying' : 'coming'] += arc;
    start = step + 1;
  }
  const shapes = nodes.flatMap(({ name }, node) => {
    const { coming, staying } = paths[node] as { coming: string; staying: string };
    const title = `<title>${escapeText(name)}</title>`;
    const shape = (path: string, opacity: string) => {
      return path === '' ? [] : [`<path d="${path}" stroke="${colours.get(name)}"${opacity}>${title}</path>`];
    };
    return [...shape(coming, ''), ...shape(staying, ' opacity="0.2"')];
  });
  return `<g fill="none" stroke-width="${RING_WIDTH}">\n${shapes.join('\n')}\n</g>`;
}

/** A point of a ring, `turn` of 1 clockwise from the top. */
function point(turn: number, radius: number): string {
  const angle = 2 * Math.PI * turn;
  return `${(CENTER.x + radius * Math.sin(angle)).toFixed(2)} ${(CENTER.y - radius * Math.cos(angle)).toFixed(2)}`;
}

/** A row a node: how full it is, the mark being what its weight says. */
function drawLegend({ present, planned }: RingView, colours: ReadonlyMap<string, string>): string {
  const { nodes, circle } = planned ?? present;
  const places = placesOf(circle, nodes.length);
  const fair = fairShares(nodes);
  const { x, y, rowHeight, rowsMax, barX, barWidth } = LEGEND;
  const rows = nodes.slice(0, rowsMax).map(({ name, weight }, node) => {
    const share = (places[node] as number) / circle.size;
    const filled = Math.min(share / (fair[node] as number) / BAR_SCALE, 1);
    const mark = barX + barWidth / BAR_SCALE;
    const label = name.length > 26 ? `${name.slice(0, 25)}…` : name;
    return `<g transform="translate(${x} ${y + node * rowHeight})">
<rect width="12" height="12" y="2" fill="${colours.get(name)}"/>
<text x="20" y="13">${escapeText(label)}<title>${escapeText(name)}, weight ${weight}</title></text>
<rect x="${barX}" y="2" width="${(filled * barWidth).toFixed(1)}" height="12" fill="${colours.get(name)}"/>
<path d="M${mark} 0v16" stroke="#222"/>
<text x="${barX + barWidth + 12}" y="13">${(share * 100).toFixed(2)} %</text>
</g>`;
  });
  const rest = nodes.length - rows.length;
  const more = `<text x="${x}" y="${y + rowsMax * rowHeight + 14}" fill="#444">and ${rest} more</text>`;
  const note = `<text x="${x}" y="${HEIGHT - 12}" fill="#444">Share of all keys; the mark is the share that the weight asks for.</text>`;
  return [...rows, ...(rest > 0 ? [more] : []), note].join('\n');
}

/** Neighbouring numbers get colours far from each other: the golden angle. */
function colour(index: number): string {
  return `hsl(${((index * 137.508) % 360).toFixed(0)} 62% ${[50, 38, 62][index % 3]}%)`;
}

function escapeText(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}
