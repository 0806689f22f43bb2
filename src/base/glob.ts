/** Patterns of names, as Redis's KEYS has them (util.c: stringmatchlen): `*`, `?`, `[a-c]`, `[^a]`, `\\x`. */

/** One character of a text; null: any number of them. */
type Element = ((code: number) => boolean) | null;

/** Whether a text fits the pattern. Both have a character a byte. */
export function globOf(pattern: string): (text: string) => boolean {
  const elements = elementsOf(pattern);
  // As Redis, for which a star is for something, but for the pattern of all.
  return (text) => (text === '' ? pattern === '' || pattern === '*' : fits(elements, text));
}

function fits(elements: readonly Element[], text: string): boolean {
  let [at, place] = [0, 0];
  // Where the last star is, and what it has taken so far.
  let [star, taken] = [-1, 0];
  while (at < text.length) {
    const element = elements[place];
    if (element === null) {
      star = place++;
      taken = at;
    } else if (element?.(text.charCodeAt(at)) === true) {
      at++;
      place++;
    } else if (star >= 0) {
      place = star + 1;
      at = ++taken;
    } else return false;
  }
  while (elements[place] === null) place++;
  return place === elements.length;
}

function elementsOf(pattern: string): Element[] {
  const elements: Element[] = [];
  for (let at = 0; at < pattern.length; at++) {
    const letter = pattern[at];
    if (letter === '*') elements.push(null);
    else if (letter === '?') elements.push(() => true);
    else if (letter === '[') {
      const set = readSet(pattern, at + 1);
      elements.push(set.element);
      at = set.last;
    } else {
      if (letter === '\\' && at + 1 < pattern.length) at++;
      const wanted = pattern.charCodeAt(at);
      elements.push((code) => code === wanted);
    }
  }
  return elements;
}

/** A set of characters, behind its bracket. One that is not closed ends with the pattern. */
function readSet(pattern: string, first: number): { element: (code: number) => boolean; last: number } {
  const isNegated = pattern[first] === '^';
  const ranges: [from: number, to: number][] = [];
  let at = isNegated ? first + 1 : first;
  for (; at < pattern.length && pattern[at] !== ']'; at++) {
    const isEscape = pattern[at] === '\\' && at + 1 < pattern.length;
    if (isEscape) at++;
    const from = pattern.charCodeAt(at);
    if (!isEscape && pattern[at + 1] === '-' && at + 2 < pattern.length) {
      at += 2;
      const to = pattern.charCodeAt(at);
      ranges.push(from <= to ? [from, to] : [to, from]);
    } else ranges.push([from, from]);
  }
  const element = (code: number) => ranges.some(([from, to]) => code >= from && code <= to) !== isNegated;
  return { element, last: at };
}
