import type { ByteStream } from '../../transport/byte-stream.ts';
import { openSerial } from '../../transport/serial.ts';
import { openUsbtmc } from '../../transport/usbtmc.ts';
import type { Emulator, EmulatorOptions } from '../emulator.ts';
import type { InstrumentFamily } from '../family.ts';
import type { CommonSettings } from '../power-instrument.ts';
import { parseSettings } from '../settings.ts';
import { overTcp } from '../tcp-family.ts';
import { dmm34465a, dmm34465aSettings } from './34465a.ts';
import { Dmm34465aEmulator, dmm34465aFaults } from './34465a-emulator.ts';
import { ScpiInstrument } from './driver.ts';
import type { ScpiModel } from './model.ts';
import { n6705, n6705Settings } from './n6705.ts';
import { N6705Emulator, n6705Faults } from './n6705-emulator.ts';
import { messageLink, streamLink } from './session.ts';
import { scpiBaudRate, scpiPort } from './spec.ts';
import { wt310, wt310Settings } from './wt310.ts';
import { Wt310Emulator, wt310Faults } from './wt310-emulator.ts';

interface Kind {
  model: ScpiModel;
  schema: Parameters<typeof parseSettings<CommonSettings>>[1];
  hasSupply: boolean;
  serial: string;
  faults: Readonly<Record<string, string>>;
  play(stream: ByteStream, options: EmulatorOptions): Emulator;
}

/** A family for each model: they share the driver, and each has its own settings, emulator and page. */
function familyOf(kind: Kind): InstrumentFamily {
  const { id, title } = kind.model;
  const tcp = overTcp({
    id,
    port: scpiPort,
    serial: kind.serial,
    drive: (stream, { time }) => new ScpiInstrument(streamLink(stream, time), { time }),
    play: kind.play,
  });
  return {
    id,
    title,
    transport: 'tcp',
    settings: ({ settings, supply }) => ({
      ...parseSettings(id, kind.schema, settings),
      ...(kind.hasSupply && supply && { maxVoltage_V: supply.max_voltage_V }),
    }),
    ...tcp,
    async connect(connection) {
      if (/^\/dev\/usbtmc/.test(connection)) return new ScpiInstrument(messageLink(await openUsbtmc(connection)));
      if (!/^\/|^COM\d/i.test(connection)) return tcp.connect(connection);
      return new ScpiInstrument(streamLink(await openSerial(connection, { baudRate: scpiBaudRate })));
    },
    trigger: null,
    resolution_rel: () => null,
    faults: kind.faults,
  };
}

export const wt310Family = familyOf({
  model: wt310,
  schema: wt310Settings,
  hasSupply: false,
  serial: 'SIM-WT310-0001',
  faults: wt310Faults,
  play: (stream, options) => new Wt310Emulator(stream, options),
});

export const n6705Family = familyOf({
  model: n6705,
  schema: n6705Settings,
  hasSupply: true,
  serial: 'SIM-N6705-0001',
  faults: n6705Faults,
  play: (stream, options) => new N6705Emulator(stream, options),
});

export const dmm34465aFamily = familyOf({
  model: dmm34465a,
  schema: dmm34465aSettings,
  hasSupply: false,
  serial: 'SIM-34465A-0001',
  faults: dmm34465aFaults,
  play: (stream, options) => new Dmm34465aEmulator(stream, options),
});
