import { lowerHull } from './lower-hull.ts';

/** Halvings of an interval: more than float64 can tell. */
const halvings = 60;

/**
 * How far a line through points may be wrong where each point is off by at most `reach`: the lines that pass all points
 * within `reach` form a convex polygon of (level, slope), and this is how far it stretches from the line that the residuals belong to.
 * It holds however much the errors depend on each other. A reach that no line keeps is widened until one does.
 *
 * @param x ascending, at least two different abscissae
 * @param residuals of the points about a line
 * @param x0 abscissa at which the level is stated
 */
export function lineBounds(
  x: ArrayLike<number>,
  residuals: ArrayLike<number>,
  x0: number,
  reach: number,
): { level: number; slope: number } {
  const n = x.length;
  const u = Float64Array.from({ length: n }, (_, k) => x[k]! - x0);
  const r = Float64Array.from({ length: n }, (_, k) => residuals[k]!);
  const below = lowerHull(u, r);
  const above = lowerHull(
    u,
    r.map((value) => -value),
  );
  // Level of the highest line of a slope under all points, and of the lowest line above them.
  const floor = (slope: number) => below.reduce((least, k) => Math.min(least, r[k]! - slope * u[k]!), Infinity);
  const ceiling = (slope: number) => above.reduce((most, k) => Math.max(most, r[k]! - slope * u[k]!), -Infinity);
  const most = r.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0);
  const steepest = (4 * (reach + most)) / (u[n - 1]! - u[0]!);
  const room = (slope: number) => floor(slope) - ceiling(slope);
  const widest = highest(room, -steepest, steepest);
  const wide = Math.max(reach, -room(widest) / 2);
  const fits = (slope: number) => room(slope) + 2 * wide >= 0;
  const least = boundary(fits, widest, -steepest);
  const largest = boundary(fits, widest, steepest);
  return {
    level: Math.max(
      floor(highest(floor, least, largest)) + wide,
      wide - ceiling(highest((slope) => -ceiling(slope), least, largest)),
    ),
    slope: Math.max(-least, largest),
  };
}

/** Where a concave function of an interval is highest. */
function highest(f: (x: number) => number, from: number, to: number): number {
  let [a, b] = [from, to];
  for (let k = 0; k < 2 * halvings; k++) {
    const third = (b - a) / 3;
    if (f(a + third) < f(b - third)) a += third;
    else b -= third;
  }
  return (a + b) / 2;
}

/** The last place on the way from `inside` to `outside` where the condition holds. */
function boundary(holds: (x: number) => boolean, inside: number, outside: number): number {
  let [a, b] = [inside, outside];
  for (let k = 0; k < halvings; k++) {
    const middle = (a + b) / 2;
    if (holds(middle)) a = middle;
    else b = middle;
  }
  return a;
}
