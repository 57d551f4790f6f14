import { refusedSetting } from './rails.ts';

/** How often a chip gives a pair of shunt and bus voltage, and over which time both are averaged: codes of the registers. */
export interface Averaging {
  averages: number;
  busTime: number;
  shuntTime: number;
}

/** What the codes mean. */
export interface AveragingTables {
  averages: readonly number[];
  times_us: readonly number[];
}

/** The least rate: a slower chip could not be told from a dead one within 2 s. */
export const leastRate_Hz = 1;
export const defaultRate_Hz = 500;

/** Both conversions at their shortest, without averaging. */
export const mostRate_Hz = ({ times_us }: AveragingTables): number => 1e6 / (2 * times_us[0]!);

/** Nominal time between results, in us: (VBUSCT + VSHCT) * AVG. */
export function periodOf_us({ averages, times_us }: AveragingTables, codes: Averaging): number {
  return (times_us[codes.busTime]! + times_us[codes.shuntTime]!) * averages[codes.averages]!;
}

/**
 * The averaging that fills the time between samples best: the longest period that is no longer than 1 / rate, with
 * the longest conversions among equals. Shunt and bus get the same time.
 * @throws UsageError `instrument.settings` outside 1 Hz to what the tables allow
 */
export function averagingFor(tables: AveragingTables, rate_Hz: number): Averaging {
  const most_Hz = mostRate_Hz(tables);
  if (!(rate_Hz >= leastRate_Hz && rate_Hz <= Math.ceil(most_Hz))) {
    throw refusedSetting(
      'rate_Hz',
      `${rate_Hz} Hz is outside ${leastRate_Hz} Hz to ${Math.floor(most_Hz)} Hz`,
      'choose a rate that the chip can convert at',
    );
  }
  let best: Averaging = { averages: 0, busTime: 0, shuntTime: 0 };
  for (let time = 0; time < tables.times_us.length; time++) {
    for (let averages = 0; averages < tables.averages.length; averages++) {
      const candidate = { averages, busTime: time, shuntTime: time };
      const period_us = periodOf_us(tables, candidate);
      if (period_us * rate_Hz <= 1e6 && period_us >= periodOf_us(tables, best)) best = candidate;
    }
  }
  return best;
}
