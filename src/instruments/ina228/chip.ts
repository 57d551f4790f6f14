import { averagingFor, defaultRate_Hz, periodOf_us } from '../ina2xx/averaging.ts';
import type { ChipType, RailPlan } from '../ina2xx/chip-type.ts';
import { ConversionOutput } from '../ina2xx/conversion-output.ts';
import { type CodeScale, ConversionStream, conversionStreamInfo, shuntRange } from '../ina2xx/conversion-stream.ts';
import { type Rail, railsOf } from '../ina2xx/rails.ts';
import { parseSettings } from '../settings.ts';
import { type Accumulating, AccumulatorOutput, accumulatorStreamInfo } from './accumulator-output.ts';
import { encodeAdcConfig, encodeConfig, shuntCalibration, signed20 } from './protocol.ts';
import { accumulatorRate_Hz, type Ina228Settings, ina228SettingsSchema } from './settings.ts';
import {
  ina228Accuracy,
  ina228BusStep_V,
  ina228Config,
  ina228Die,
  ina228Flag,
  ina228Full,
  ina228Mode,
  ina228Register,
  ina228ShuntSteps_V,
  ina228Tables,
} from './spec.ts';

/** What the drivers must know of an INA228. */
export const ina228Chip: ChipType<Ina228Settings> = {
  family: 'ina228',
  name: 'INA228',
  model: ina228Accuracy.model,
  identity: { manufacturer: ina228Register.manufacturer, die: ina228Register.die },
  die: ina228Die,
  revisions: null,
  ready: { register: ina228Register.diagnostics, mask: ina228Flag.ready },
  async notices(chip) {
    const flags = await chip.read(ina228Register.diagnostics);
    if (flags & ina228Flag.memoryIsGood) return [];
    return [`${chip.where}: its own calibration memory fails its checksum (MEMSTAT); its figures cannot be trusted`];
  },
  plan({ logicInputs: _, maxVoltage_V: __, ...own }) {
    const settings = parseSettings('ina228', ina228SettingsSchema, own);
    const usesAccumulators = settings.output === 'accumulators';
    const averaging = averagingFor(
      ina228Tables,
      settings.rate_Hz ?? (usesAccumulators ? accumulatorRate_Hz : defaultRate_Hz),
    );
    const period_us = periodOf_us(ina228Tables, averaging);
    const adcConfiguration = encodeAdcConfig(averaging);
    return railsOf(settings.chips).map((rail, k): RailPlan => {
      const adcRange = settings.chips[k]!.shuntRange_mV === 40.96 ? 1 : 0;
      const configuration = encodeConfig(adcRange);
      const scale = scaleOf(rail, adcRange);
      // With this step CURRENT is the code of the shunt.
      const currentStep_A = scale.shuntStep_V / rail.shunt_ohm;
      const averages = ina228Tables.averages[averaging.averages]!;
      const chip: Accumulating = { rail, scale, currentStep_A, averages, period_us };
      const conversions = () => new ConversionStream(rail, scale);
      return {
        rail,
        period_us,
        setup: (hasAlert) => [
          [ina228Register.configuration, ina228Config.reset],
          [ina228Register.adcConfiguration, ina228Mode.shutdown],
          [ina228Register.configuration, configuration | ina228Config.resetAccumulators],
          [ina228Register.shuntCalibration, shuntCalibration(currentStep_A, rail.shunt_ohm, adcRange)],
          // Without the latch the ready flag may be gone before anybody looks.
          [ina228Register.diagnostics, ina228Flag.latch | (hasAlert ? ina228Flag.alertOnReady : 0)],
        ],
        start: [[ina228Register.adcConfiguration, adcConfiguration]],
        stop: [ina228Register.adcConfiguration, ina228Mode.shutdown],
        kept: [ina228Register.adcConfiguration, adcConfiguration],
        stream: (clock) =>
          usesAccumulators ? accumulatorStreamInfo(chip, clock) : conversionStreamInfo(rail, scale, clock),
        output: () =>
          usesAccumulators ? new AccumulatorOutput(chip) : new ConversionOutput(conversions(), readConversion),
        bridge: usesAccumulators ? null : { configuration: [configuration, adcConfiguration], stream: conversions },
      };
    });
  },
};

async function readConversion(chip: Parameters<ConversionOutput['read']>[0]) {
  const shunt = signed20(await chip.read(ina228Register.shunt, 3));
  return { shunt, bus: signed20(await chip.read(ina228Register.bus, 3)) };
}

function scaleOf(rail: Rail, adcRange: 0 | 1): CodeScale {
  return {
    shuntStep_V: ina228ShuntSteps_V[adcRange],
    busStep_V: ina228BusStep_V,
    fullShunt: ina228Full,
    fullBus: ina228Full,
    ranges: ina228ShuntSteps_V.map((step_V, k) => shuntRange(k, step_V, ina228Full, rail.shunt_ohm)),
    range: adcRange,
  };
}
