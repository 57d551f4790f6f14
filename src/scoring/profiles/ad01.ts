import type { Profile } from './profile.ts';

export const ad01: Profile = {
  id: 'ad01',
  name: 'ad',
  aliases: ['ad', 'ad01', 'anomaly_detection', 'anomaly-detection'],
  title: 'Anomaly detection',
  task: 'anomaly-detection',
  classes: 1,
  windows: 5,
  minimumDuration_s: 10,
  minimumIterations: 10,
  statistic: 'median',
  warmups: 1,
  labels: [
    {
      file: 'ad01.csv',
      firstInputs: [
        'normal_id_01_00000003_hist_librosa.bin',
        'normal_id_01_00000013_hist_librosa.bin',
        'normal_id_01_00000023_hist_librosa.bin',
        'normal_id_01_00000033_hist_librosa.bin',
        'normal_id_01_00000043_hist_librosa.bin',
      ],
    },
  ],
  quality: [{ metric: 'auc', sense: 'at-least', value: 0.85 }],
  source:
    'MLPerf Tiny rules (benchmark/MLPerfTiny_Rules.adoc); EnergyRunner README and its error text: at least 10 s and 10 iterations',
};
