const TIME = /^(\d{1,2})-(\d{1,2})-(\d{4}) (\d{1,2}):(\d{1,2}):(\d{1,2})\.(\d{1,6})$/;

/** Characters of a PTDaemon time at the start of a log line. */
export const PTD_TIME_LENGTH = 'MM-DD-YYYY HH:MM:SS.mmm'.length;

/**
 * `MM-DD-YYYY HH:MM:SS.mmm` as milliseconds since 1970 on the clock that wrote it, read as if it were UTC (the text
 * names no time zone). NaN where the text is no such time.
 */
export function parsePtdTime_ms(text: string): number {
  const m = TIME.exec(text);
  if (m === null) return Number.NaN;
  const [month, day, year, hour, minute, second] = [m[1], m[2], m[3], m[4], m[5], m[6]].map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  if (month < 1 || month > 12 || day < 1 || hour > 23 || minute > 59 || second > 59) return Number.NaN;
  const midnight_ms = Date.UTC(year, month - 1, day);
  if (new Date(midnight_ms).getUTCDate() !== day) return Number.NaN;
  const fraction = m[7] as string;
  const fraction_ms = Number(fraction) / 10 ** (fraction.length - 3);
  return midnight_ms + ((hour * 60 + minute) * 60 + second) * 1000 + fraction_ms;
}

/** The text that `parsePtdTime_ms` reads, with milliseconds. */
export function formatPtdTime(time_ms: number): string {
  const iso = new Date(time_ms).toISOString();
  return `${iso.slice(5, 7)}-${iso.slice(8, 10)}-${iso.slice(0, 4)} ${iso.slice(11, 23)}`;
}
