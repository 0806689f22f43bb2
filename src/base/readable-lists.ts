/**
 * Lists of a file in which some items are wrong: those that are right are read, so that a mistake in one item does not hide what
 * is wrong between the others. They keep their places.
 */
import type { z } from 'zod';
import type { Path } from './yaml-source.js';

export class ReadableLists {
  /** By the path of a list: where the items that were read stand in it. */
  private readonly places = new Map<string, number[]>();

  /** The items of `list`, at `path` of the file, that `schema` takes; null for what is no list, or has none but wrong ones. */
  read<S extends z.ZodType>(path: Path, list: unknown, schema: S): z.infer<S>[] | null {
    if (!Array.isArray(list)) return null;
    const items = list.flatMap((item: unknown, index) => {
      const result = schema.safeParse(item);
      return result.success ? [{ index, item: result.data }] : [];
    });
    if (items.length === 0 && list.length > 0) return null;
    this.places.set(
      JSON.stringify(path),
      items.map(({ index }) => index),
    );
    return items.map(({ item }) => item);
  }

  /** The path in the file of what is at `path` of what was read. */
  inFile(path: Path): Path {
    const found: (string | number)[] = [];
    for (const step of path) {
      const places = this.places.get(JSON.stringify(found));
      found.push((typeof step === 'number' ? places?.[step] : undefined) ?? step);
    }
    return found;
  }
}
