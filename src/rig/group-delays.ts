import { UsageError } from '../signal/errors.ts';
import type { RangeInfo, StreamInfo } from '../signal/types.ts';
import type { Rig } from './rig-file.ts';

type Declared = NonNullable<Rig['instrument']['group_delay_s']>;
type OneDelay = Extract<Declared, number | { value: unknown }>;

/**
 * The streams of an instrument with the group delays that the rig file declares; the same streams where it declares none.
 * @throws UsageError `rig.group-delay` for a range that no stream has, or ranges of a source without a sample rate
 */
export function withGroupDelays(streams: readonly StreamInfo[], rig: Rig): StreamInfo[] {
  const declared = rig.instrument.group_delay_s;
  if (declared === undefined) return [...streams];
  if (isOne(declared)) return streams.map((stream) => ({ ...stream, ...fieldsOf(declared) }));
  const ranged = streams.filter((stream) => stream.quantities.length > 0 && stream.ranges.length > 0);
  if (ranged.some(({ ticksPerSample }) => ticksPerSample === null)) {
    throw refusal(
      'samples of intervals of their own have one delay, whatever their range',
      'give one number for all ranges',
    );
  }
  const known = ranged.flatMap(({ ranges }) => ranges);
  for (const key of Object.keys(declared)) {
    if (known.some((range) => isNamed(range, key))) continue;
    const names = [...new Set(known.map(({ name }) => `\`${name}\``))];
    throw refusal(
      `the instrument has no range \`${key}\``,
      names.length === 0 ? 'it tells of no ranges: give one number' : `its ranges are ${names.join(', ')}`,
    );
  }
  return streams.map((stream) => ({
    ...stream,
    ranges: stream.ranges.map((range) => {
      const key = Object.keys(declared).find((candidate) => isNamed(range, candidate));
      return key === undefined ? range : { ...range, ...fieldsOf(declared[key]!) };
    }),
  }));
}

function isOne(declared: Declared): declared is OneDelay {
  return typeof declared === 'number' || typeof declared.value === 'number';
}

function isNamed(range: RangeInfo, key: string): boolean {
  return range.name === key || String(range.index) === key;
}

function fieldsOf(delay: OneDelay): { groupDelay_s: number; u_groupDelay_s: number | null } {
  return typeof delay === 'number'
    ? { groupDelay_s: delay, u_groupDelay_s: null }
    : { groupDelay_s: delay.value, u_groupDelay_s: delay.u };
}

function refusal(problem: string, remedy: string): UsageError {
  return new UsageError('rig.group-delay', { where: 'instrument.group_delay_s', problem, remedy });
}
