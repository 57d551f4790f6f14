import { UsageError } from '../signal/errors.ts';

/**
 * Checks a voltage before any supply gets it.
 * @throws UsageError `supply.voltage` unless it is a number within the instrument's range and at most `maxVoltage_V`
 */
export function checkSupplyVoltage(
  voltage_V: number,
  range_V: { min: number; max: number },
  maxVoltage_V: number | undefined,
  where: string,
): void {
  const refuse = (problem: string, remedy: string) => new UsageError('supply.voltage', { where, problem, remedy });
  if (maxVoltage_V === undefined) {
    throw refuse(
      'the supply is not used without a limit',
      'set supply.max_voltage_V in the rig file to what the device under test survives',
    );
  }
  if (!(voltage_V <= maxVoltage_V)) {
    throw refuse(
      `${voltage_V} V is more than the limit of ${maxVoltage_V} V`,
      'lower supply.voltage_V, or raise supply.max_voltage_V if the device under test survives it',
    );
  }
  if (!(voltage_V >= range_V.min && voltage_V <= range_V.max)) {
    throw refuse(
      `${voltage_V} V is outside ${range_V.min} V to ${range_V.max} V`,
      'choose a supply.voltage_V that the instrument can give',
    );
  }
}

/** A supply was to go on before it got a voltage. */
export function noSupplyVoltage(where: string): UsageError {
  return new UsageError('supply.no-voltage', {
    where,
    problem: 'the supply has no voltage yet',
    remedy: 'set supply.voltage_V in the rig file; there is no default',
  });
}
