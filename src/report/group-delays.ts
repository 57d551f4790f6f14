import { formatSeconds, formatWithU } from '../signal/units.ts';
import type { FlankDelay, GroupDelayReport } from '../sync/group-delay.ts';
import { padCells, printable, wrapCells } from './text.ts';

/** Measured group delays as text for a terminal of `columns` cells: a line for each range, and why there is no figure. */
export function renderGroupDelays(
  { stream, channel, method, ranges, crowded }: GroupDelayReport,
  columns: number,
): string {
  const rows = ranges.map(({ range, name, delay_s, u_s, rise, fall }) => [
    name ?? String(range),
    delay_s === null ? '-' : formatWithU(delay_s, u_s, 's'),
    flankText(rise),
    flankText(fall),
  ]);
  const table = [['range', 'delay', 'rising', 'falling'], ...rows].map((row) => row.map(printable));
  const widths = [0, 1, 2, 3].map((column) => Math.max(...table.map((row) => row[column]!.length)));
  const lines = table.map((row) =>
    row
      .map((cell, column) => padCells(cell, widths[column]!, 'right'))
      .join('  ')
      .trimEnd(),
  );
  const notes = ranges.flatMap(({ range, name, refusal }) =>
    refusal === null ? [] : [`range ${name ?? range}: ${refusal.message} [${refusal.code}]`],
  );
  if (crowded > 0) notes.push(`${crowded} edges stand too near to others or to gaps`);
  const head = `Group delay of the analog path of ${stream} against ${channel} (${method})`;
  // Wrapping closes the columns up: only where they do not fit.
  const fits = (line: string) => (line.length <= columns ? [line] : wrapCells(line, columns));
  return [head, ...lines, ...notes].map(printable).flatMap(fits).join('\n');
}

function flankText(flank: FlankDelay | null): string {
  return flank === null ? '-' : `${formatSeconds(flank.delay_s)} (${flank.steps})`;
}
