/**
 * Indices of the lower convex hull of points with ascending x, from the first point to the last: the monotone chain of
 * A. M. Andrew (Inf. Process. Lett. 9, 1979), O(n). Of points with equal x the lowest is used.
 */
export function lowerHull(x: ArrayLike<number>, y: ArrayLike<number>): number[] {
  const hull: number[] = [];
  for (let k = 0; k < x.length; k++) {
    const last = hull.at(-1);
    if (last !== undefined && x[last] === x[k]) {
      if (y[k]! >= y[last]!) continue;
      hull.pop();
    }
    while (hull.length > 1) {
      const a = hull[hull.length - 2]!;
      const b = hull[hull.length - 1]!;
      const turn = (x[b]! - x[a]!) * (y[k]! - y[a]!) - (y[b]! - y[a]!) * (x[k]! - x[a]!);
      if (turn > 0) break;
      hull.pop();
    }
    hull.push(k);
  }
  return hull;
}
