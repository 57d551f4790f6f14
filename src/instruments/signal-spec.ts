import { UsageError } from '../signal/errors.ts';
import type { SignalSource } from '../signal/signal-source.ts';
import { SineSignal, SteppedSignal } from './signals.ts';

const prefixes: Readonly<Record<string, number>> = { n: 1e-9, u: 1e-6, m: 1e-3, '': 1, k: 1e3 };
const defaultVoltage_V = 3;
/** The trigger line of every signal from text. */
export const signalTriggerLine = 'D0';

/**
 * A signal from text: `dc:10mA`, `sine:10mA,5mA,50Hz` (mean, amplitude, frequency) or `steps:1uA/5ms,20mA/5ms`
 * (repeated), each with `@3.3V` behind it if the voltage is not 3 V. Trigger line D0 is high for the first 20 ms of
 * every 100 ms.
 * @throws UsageError where the text is none of these
 */
export function parseSignal(text: string): SignalSource {
  const [wave, volts] = text.split('@', 2);
  const [kind, rest = ''] = wave.split(/:(.*)/s, 2);
  const fail = (problem: string): never => {
    throw new UsageError('usage.signal', {
      where: `signal ${text}`,
      problem,
      remedy: 'write dc:10mA, sine:10mA,5mA,50Hz or steps:1uA/5ms,20mA/5ms, with @3.3V behind it for another voltage',
    });
  };
  const amount = (part: string | undefined, unit: string): number => {
    const match = /^(-?\d+(?:\.\d+)?(?:e-?\d+)?)([numk]?)(A|V|s|Hz)$/.exec(part?.trim() ?? '');
    if (match === null || match[3] !== unit) return fail(`${part ?? 'nothing'} is no amount in ${unit}`);
    return Number(match[1]) * prefixes[match[2]];
  };
  const options = {
    voltage_V: volts === undefined ? defaultVoltage_V : amount(volts, 'V'),
    pulses: [{ channel: signalTriggerLine, start_s: 0, period_s: 0.1, width_s: 0.02 }],
  };
  const parts = rest.split(',');
  switch (kind) {
    case 'dc':
      return new SteppedSignal([{ current_A: amount(rest, 'A'), duration_s: 1 }], options);
    case 'sine': {
      const [offset_A, amplitude_A] = [amount(parts[0], 'A'), amount(parts[1], 'A')];
      return new SineSignal({ offset_A, amplitude_A, frequency_Hz: amount(parts[2], 'Hz') }, options);
    }
    case 'steps': {
      const levels = parts.map((part) => {
        const [current, duration] = part.split('/');
        return { current_A: amount(current, 'A'), duration_s: amount(duration, 's') };
      });
      return levels.every((level) => level.duration_s > 0)
        ? new SteppedSignal(levels, options)
        : fail('a step must last longer than 0 s');
    }
    default:
      return fail('is no signal');
  }
}
