/**
 * Draws latency against offered load as SVG: a panel for each percentile side by side, one line for each endpoint, latency on a
 * logarithmic scale that all panels share.
 */
import type { LatencyResults, Step } from './results.js';

const PANELS = [
  { title: 'p50', of: (step: Step) => step.p50Ms },
  { title: 'p99', of: (step: Step) => step.p99Ms },
  { title: 'p99.9', of: (step: Step) => step.p999Ms },
] as const;

// Okabe and Ito's colours, which the colour-blind tell apart, and marks for those who see none.
const STYLES = [
  { colour: '#000000', mark: 'circle' },
  { colour: '#d55e00', mark: 'square' },
  { colour: '#0072b2', mark: 'diamond' },
  { colour: '#009e73', mark: 'triangle' },
  { colour: '#cc79a7', mark: 'circle' },
  { colour: '#e69f00', mark: 'square' },
  { colour: '#56b4e9', mark: 'diamond' },
] as const;

const WIDTH = 1_180;
const HEIGHT = 520;
const TOP = 84;
const BOTTOM = 96;
const LEFT = 78;
const RIGHT = 20;
const GAP = 26;
const PANEL_WIDTH = (WIDTH - LEFT - RIGHT - GAP * (PANELS.length - 1)) / PANELS.length;
const PANEL_HEIGHT = HEIGHT - TOP - BOTTOM;
const RATE_MARKS = 6;
const LEGEND_WIDTH = 130;

export function drawLatency(results: LatencyResults): string {
  const { steps } = results;
  const labels = [...new Set(steps.map(({ label }) => label))];
  const rateMax = Math.max(...steps.map(({ rate }) => rate));
  const values = steps.flatMap((step) => PANELS.map(({ of }) => of(step)));
  const decades = [Math.floor(Math.log10(Math.min(...values))), Math.ceil(Math.log10(Math.max(...values)))] as const;
  const scale = scaleOf(rateMax, decades[0], Math.max(decades[1], decades[0] + 1));
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" height="${HEIGHT}" font-family="sans-serif" font-size="12">`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="#ffffff"/>`,
    text(LEFT, 26, results.title, 'font-size="16" font-weight="bold"'),
    text(LEFT, 46, results.subtitle, 'fill="#444444"'),
    text(
      0,
      0,
      'latency, ms, from when a request was due',
      `text-anchor="middle" transform="translate(20 ${TOP + PANEL_HEIGHT / 2}) rotate(-90)"`,
    ),
    text(
      LEFT + (WIDTH - LEFT - RIGHT) / 2,
      HEIGHT - BOTTOM + 40,
      'offered load, requests per second',
      'text-anchor="middle"',
    ),
  ];
  for (const [index, panel] of PANELS.entries()) {
    const left = LEFT + index * (PANEL_WIDTH + GAP);
    parts.push(`<g transform="translate(${left} ${TOP})">`, ...grid(panel.title, scale, index === 0));
    for (const [which, label] of labels.entries()) {
      const own = steps.filter((step) => step.label === label).sort((one, other) => one.rate - other.rate);
      parts.push(
        ...line(
          own.map((step) => ({ step, x: scale.x(step.rate), y: scale.y(panel.of(step)) })),
          which,
        ),
      );
    }
    parts.push('</g>');
  }
  for (const [which, label] of labels.entries()) {
    const [x, y] = [LEFT + which * LEGEND_WIDTH, HEIGHT - 30];
    const { colour } = styleOf(which);
    parts.push(`<path d="M${x} ${y}h24" stroke="${colour}" stroke-width="2"/>`, mark(x + 12, y, which, true));
    parts.push(text(x + 32, y + 4, label));
  }
  parts.push(
    text(
      LEFT,
      HEIGHT - 8,
      'Hollow: less than 95 % of the offered load was answered in time, or the generator itself was late.',
      'fill="#444444" font-size="11"',
    ),
  );
  return `${parts.join('\n')}\n</svg>\n`;
}

interface Scale {
  readonly x: (rate: number) => number;
  readonly y: (ms: number) => number;
  readonly rates: readonly number[];
  /** Powers of ten. */
  readonly decades: readonly number[];
}

function scaleOf(rateMax: number, least: number, most: number): Scale {
  const step = niceStep(rateMax / RATE_MARKS);
  const end = Math.ceil(rateMax / step) * step;
  return {
    x: (rate) => (rate / end) * PANEL_WIDTH,
    y: (ms) => PANEL_HEIGHT - ((Math.log10(ms) - least) / (most - least)) * PANEL_HEIGHT,
    rates: Array.from({ length: Math.round(end / step) + 1 }, (_, index) => index * step),
    decades: Array.from({ length: most - least + 1 }, (_, index) => least + index),
  };
}

/** 1, 2 or 5 times a power of ten, not below `least`. */
function niceStep(least: number): number {
  const power = 10 ** Math.floor(Math.log10(least));
  return ([1, 2, 5, 10].find((factor) => factor * power >= least) ?? 10) * power;
}

function grid(title: string, scale: Scale, hasNumbers: boolean): string[] {
  const parts: string[] = [];
  for (const decade of scale.decades) {
    const y = scale.y(10 ** decade);
    parts.push(`<path d="M0 ${round(y)}h${round(PANEL_WIDTH)}" stroke="#bbbbbb"/>`);
    if (hasNumbers) parts.push(text(-8, y + 4, `${Number((10 ** decade).toPrecision(1))}`, 'text-anchor="end"'));
    if (decade === scale.decades.at(-1)) continue;
    for (let factor = 2; factor < 10; factor++) {
      parts.push(`<path d="M0 ${round(scale.y(factor * 10 ** decade))}h${round(PANEL_WIDTH)}" stroke="#eeeeee"/>`);
    }
  }
  for (const rate of scale.rates) {
    const x = scale.x(rate);
    parts.push(`<path d="M${round(x)} 0v${round(PANEL_HEIGHT)}" stroke="#eeeeee"/>`);
    parts.push(text(x, PANEL_HEIGHT + 18, rate >= 1_000 ? `${rate / 1_000}k` : `${rate}`, 'text-anchor="middle"'));
  }
  parts.push(`<rect width="${round(PANEL_WIDTH)}" height="${round(PANEL_HEIGHT)}" fill="none" stroke="#666666"/>`);
  parts.push(text(PANEL_WIDTH / 2, -8, title, 'text-anchor="middle" font-weight="bold"'));
  return parts;
}

function line(points: readonly { step: Step; x: number; y: number }[], which: number): string[] {
  const path = points.map(({ x, y }, index) => `${index === 0 ? 'M' : 'L'}${round(x)} ${round(y)}`).join('');
  const marks = points.map(({ step, x, y }) => mark(x, y, which, step.isReliable));
  return [`<path d="${path}" fill="none" stroke="${styleOf(which).colour}" stroke-width="2"/>`, ...marks];
}

function mark(x: number, y: number, which: number, isFilled: boolean): string {
  const { colour, mark } = styleOf(which);
  const paint = `fill="${isFilled ? colour : '#ffffff'}" stroke="${colour}" stroke-width="1.5"`;
  const [left, top] = [round(x), round(y)];
  if (mark === 'circle') return `<circle cx="${left}" cy="${top}" r="4" ${paint}/>`;
  const shapes = { square: 'M-4 -4h8v8h-8z', diamond: 'M0 -5L5 0L0 5L-5 0z', triangle: 'M0 -5L5 4H-5z' };
  return `<path d="${shapes[mark]}" transform="translate(${left} ${top})" ${paint}/>`;
}

function styleOf(which: number): (typeof STYLES)[number] {
  return STYLES[which % STYLES.length] as (typeof STYLES)[number];
}

function text(x: number, y: number, content: string, attributes = ''): string {
  const escaped = content.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
  return `<text x="${round(x)}" y="${round(y)}" ${attributes}>${escaped}</text>`;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
