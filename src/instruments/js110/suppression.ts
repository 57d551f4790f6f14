/** What becomes of the samples just after a change of range, where the analog path has not settled. */
export interface Js110Suppression {
  /**
   * `interp`: a straight line between the samples before and after. `mean`: the mean of the samples before and after.
   * `nan`: the samples are missing. `off`: nothing is done. Replaced samples are flagged `interpolated`.
   */
  mode: 'off' | 'mean' | 'interp' | 'nan';
  /** Table of window lengths by ranges, or one length in samples (0 to 31) for every change. */
  window: 'n' | 'm' | number;
  /** `mean` only: how many samples before (0 to 8) and after (1 to 8) are averaged; `interp` always takes one each. */
  pre: number;
  post: number;
}

export const js110DefaultSuppression: Js110Suppression = { mode: 'interp', window: 'n', pre: 1, post: 1 };

export const maxManualWindow = 31;
export const maxPrePost = 8;

/** Range number that stands for a missing sample in the tables. */
export const missingRange = 8;
/** Side of the tables. */
export const rangeCodes = 9;

/** Window lengths in samples, one row for each range that is entered, one digit for each that is left. */
const TABLES = {
  n: [
    '057777780',
    '307777780',
    '550777780',
    '555077780',
    '555507780',
    '555550780',
    '555555080',
    '000000000',
    '000000000',
  ],
  m: [
    '055555660',
    '305556780',
    '440667780',
    '444066770',
    '444406760',
    '444440760',
    '444444060',
    '000000000',
    '000000000',
  ],
} as const;

/** Window length for each pair of ranges, at 9 * to + from; 0 = the change opens no window. */
export function windowTable({ mode, window }: Js110Suppression): Uint8Array {
  const table = new Uint8Array(rangeCodes * rangeCodes);
  if (mode === 'off') return table;
  for (let to = 0; to < rangeCodes; to++) {
    for (let from = 0; from < rangeCodes; from++) {
      table[rangeCodes * to + from] = typeof window === 'number' ? window : Number(TABLES[window][to]![from]);
    }
  }
  return table;
}
