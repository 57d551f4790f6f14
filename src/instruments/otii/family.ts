import type { InstrumentFamily } from '../family.ts';
import { parseSettings } from '../settings.ts';
import { overTcp } from '../tcp-family.ts';
import { Otii, otiiSettingsSchema } from './driver.ts';
import { OtiiEmulator, otiiFaults } from './emulator.ts';
import { otiiArcRates_Hz, otiiPort } from './spec.ts';

/** The account of the Otii application, from the variables that the maker's own clients read. */
function loginFromEnvironment(): { username: string; password: string } | undefined {
  const { OTII_USERNAME: username, OTII_PASSWORD: password } = process.env;
  return username && password ? { username, password } : undefined;
}

export const otiiFamily: InstrumentFamily = {
  id: 'otii',
  title: 'Qoitech Otii Arc or Ace',
  transport: 'tcp',
  settings: ({ settings, supply, channel }) => ({
    ...parseSettings('otii', otiiSettingsSchema, settings),
    logicInputs: [channel],
    ...(supply && { maxVoltage_V: supply.max_voltage_V }),
  }),
  ...overTcp({
    id: 'otii',
    port: otiiPort,
    serial: 'SIM-OTII-0001',
    drive: (stream, options) => {
      const login = loginFromEnvironment();
      return new Otii(stream, { ...options, ...(login && { login }) });
    },
    play: (stream, options) => new OtiiEmulator(stream, options),
  }),
  // How finely it stamps edges is not documented; a sample of the current is what it surely sees.
  trigger: { polarities: ['rise', 'fall'], shortestPulse_s: 1 / otiiArcRates_Hz.current },
  resolution_rel: () => null,
  faults: otiiFaults,
};
