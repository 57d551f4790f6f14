import type { Profile } from './profile.ts';

export const kws01: Profile = {
  id: 'kws01',
  name: 'kws',
  aliases: ['kws', 'kws01', 'keyword_spotting', 'keyword-spotting'],
  title: 'Keyword spotting',
  task: 'classification',
  classes: 12,
  windows: 5,
  minimumDuration_s: 10,
  minimumIterations: 10,
  statistic: 'median',
  warmups: 1,
  labels: [
    {
      file: 'kws01.csv',
      firstInputs: [
        'tst_000000_Stop_7.bin',
        'tst_000001_Left_2.bin',
        'tst_000002_Right_6.bin',
        'tst_000003_Up_8.bin',
        'tst_000004_On_5.bin',
      ],
    },
  ],
  quality: [{ metric: 'top1_pct', sense: 'at-least', value: 90 }],
  source:
    'MLPerf Tiny rules (benchmark/MLPerfTiny_Rules.adoc); EnergyRunner README and its error text: at least 10 s and 10 iterations',
};
