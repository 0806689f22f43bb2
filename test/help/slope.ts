/** How fast a quantity grows that also jumps about. */

/**
 * The median of the slopes between all pairs of points (Theil and Sen): the growth of `values` from one to the next, which a quarter of them may
 * lie about.
 */
export function robustSlope(values: readonly number[]): number {
  const slopes: number[] = [];
  for (let later = 1; later < values.length; later++) {
    for (let earlier = 0; earlier < later; earlier++)
      slopes.push(((values[later] as number) - (values[earlier] as number)) / (later - earlier));
  }
  slopes.sort((one, other) => one - other);
  return slopes[slopes.length >> 1] ?? 0;
}
