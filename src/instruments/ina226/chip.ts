import { averagingFor, defaultRate_Hz, periodOf_us } from '../ina2xx/averaging.ts';
import type { ChipType, RailPlan } from '../ina2xx/chip-type.ts';
import { ConversionOutput } from '../ina2xx/conversion-output.ts';
import { type CodeScale, ConversionStream, conversionStreamInfo, shuntRange } from '../ina2xx/conversion-stream.ts';
import { type Rail, railsOf } from '../ina2xx/rails.ts';
import { calibrationRegister, encodeConfiguration, signed16 } from './protocol.ts';
import { checkedSettings, type Ina226Settings } from './settings.ts';
import {
  ina226Accuracy,
  ina226BusStep_V,
  ina226Die,
  ina226Fixed,
  ina226Flag,
  ina226Full,
  ina226Register,
  ina226Reset,
  ina226ShuntStep_V,
  ina226Tables,
} from './spec.ts';

/** What the drivers must know of an INA226. */
export const ina226Chip: ChipType<Ina226Settings> = {
  family: 'ina226',
  name: 'INA226',
  model: ina226Accuracy.model,
  identity: { manufacturer: ina226Register.manufacturer, die: ina226Register.die },
  die: ina226Die,
  revisions: [0],
  notices: async () => [],
  ready: { register: ina226Register.maskEnable, mask: ina226Flag.ready },
  plan(settings) {
    const { chips, rate_Hz } = checkedSettings(settings);
    const rails = railsOf(chips);
    const averaging = averagingFor(ina226Tables, rate_Hz ?? defaultRate_Hz);
    const configuration = encodeConfiguration(averaging);
    return rails.map((rail): RailPlan => {
      const scale = ina226Scale(rail);
      const currentStep_A = ina226ShuntStep_V / rail.shunt_ohm;
      const conversions = () => new ConversionStream(rail, scale);
      return {
        rail,
        period_us: periodOf_us(ina226Tables, averaging),
        setup: (hasAlert) => [
          [ina226Register.configuration, ina226Reset],
          [ina226Register.calibration, calibrationRegister(currentStep_A, rail.shunt_ohm)],
          [ina226Register.maskEnable, hasAlert ? ina226Flag.alertOnReady : 0],
        ],
        start: [[ina226Register.configuration, configuration]],
        stop: [ina226Register.configuration, ina226Fixed],
        kept: [ina226Register.configuration, configuration],
        stream: (clock) => conversionStreamInfo(rail, scale, clock),
        output: () => new ConversionOutput(conversions(), readConversion),
        bridge: { configuration: [configuration], stream: conversions },
      };
    });
  },
};

async function readConversion(chip: Parameters<ConversionOutput['read']>[0]) {
  const shunt = signed16(await chip.read(ina226Register.shunt));
  return { shunt, bus: await chip.read(ina226Register.bus) };
}

/** What the codes mean with this shunt. */
export function ina226Scale({ shunt_ohm }: Rail): CodeScale {
  return {
    shuntStep_V: ina226ShuntStep_V,
    busStep_V: ina226BusStep_V,
    fullShunt: ina226Full,
    fullBus: ina226Full,
    ranges: [shuntRange(0, ina226ShuntStep_V, ina226Full, shunt_ohm)],
    range: 0,
  };
}
