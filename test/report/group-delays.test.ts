import { describe, expect, it } from 'vitest';
import { renderGroupDelays } from '../../src/report/group-delays.ts';

const skipped = { switched: 0, small: 0, unseen: 0 };
const flank = { delay_s: 12.3e-6, u_s: 0.2e-6, steps: 20, scatter_s: 1e-6 };

describe('measured group delays on a terminal', () => {
  const report = {
    stream: 'main',
    channel: 'D0',
    method: 'step-delay/1',
    crowded: 3,
    ranges: [
      {
        range: 2,
        name: '5 mA',
        delay_s: null,
        u_s: null,
        rise: null,
        fall: null,
        skipped: { ...skipped, switched: 9 },
        refusal: { code: 'group-delay.few-steps' as const, message: '2 rising and 0 falling steps' },
      },
      { range: 3, name: null, delay_s: 12.3e-6, u_s: 0.2e-6, rise: null, fall: flank, skipped, refusal: null },
    ],
  };

  it('stand in a line for each range, with the reason where there is no figure', () => {
    expect(renderGroupDelays(report, 80).split('\n')).toEqual([
      'Group delay of the analog path of main against D0 (step-delay/1)',
      'range  delay            rising  falling',
      '5 mA   -                -       -',
      '3      12.30 ± 0.20 us  -       12.30 us (20)',
      'range 5 mA: 2 rising and 0 falling steps [group-delay.few-steps]',
      '3 edges stand too near to others or to gaps',
    ]);
  });
});
