import type { InstrumentFamily } from '../family.ts';
import { parseSettings } from '../settings.ts';
import { overTcp } from '../tcp-family.ts';
import { Ptdaemon, ptdaemonSettingsSchema } from './driver.ts';
import { PtdaemonEmulator, ptdaemonFaults } from './emulator.ts';
import { ptdaemonPort } from './spec.ts';

export const ptdaemonFamily: InstrumentFamily = {
  id: 'ptdaemon',
  title: 'Analyzer behind SPEC PTDaemon',
  transport: 'tcp',
  settings: ({ settings }) => parseSettings('ptdaemon', ptdaemonSettingsSchema, settings),
  ...overTcp({
    id: 'ptdaemon',
    port: ptdaemonPort,
    serial: 'SIM-PTD-0001',
    drive: (stream, options) => new Ptdaemon(stream, options),
    play: (stream, options) => new PtdaemonEmulator(stream, options),
  }),
  trigger: null,
  resolution_rel: () => null,
  faults: ptdaemonFaults,
};
