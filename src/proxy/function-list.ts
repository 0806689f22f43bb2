/** What FUNCTION LIST says of functions. */
import { elementsOf, textOf } from '../replica/reply-shape.js';

export interface ListedFunction {
  name: string;
  /** It says of itself that it does not write (`no-writes`). */
  isReadOnly: boolean;
}

/** Those in a reply to FUNCTION LIST, in either protocol. */
export function functionsIn(frame: Uint8Array): ListedFunction[] {
  return elementsOf(frame).flatMap((library) => {
    const functions = fieldOf(library, 'functions');
    return functions === null ? [] : elementsOf(functions).flatMap(functionIn);
  });
}

function functionIn(frame: Uint8Array): ListedFunction[] {
  const [name, flags] = [fieldOf(frame, 'name'), fieldOf(frame, 'flags')];
  if (name === null || flags === null) return [];
  return [{ name: textOf(name), isReadOnly: elementsOf(flags).some((flag) => textOf(flag) === 'no-writes') }];
}

/** Of a map, or its keys and values in turn. */
function fieldOf(map: Uint8Array, name: string): Uint8Array | null {
  const elements = elementsOf(map);
  for (let at = 0; at + 1 < elements.length; at += 2) {
    if (textOf(elements[at] as Uint8Array) === name) return elements[at + 1] as Uint8Array;
  }
  return null;
}
