import type { Script, ScriptStep } from './script.ts';

/**
 * The script with the sync pattern at its beginning and at its end: while the trace is on, in an energy run, and after the DUT has told
 * who it is, in others.
 */
export function withSync(script: Script, sync: { order: number; chip_s: number }, isRelayed: boolean): Script {
  const chip_us = Math.round(sync.chip_s * 1e6);
  const step: ScriptStep = {
    action: { do: 'sync', order: sync.order, chip_us },
    command: `${isRelayed ? 'io dut' : 'dut'} sync ${sync.order} ${chip_us}`,
    ack: isRelayed ? '/dut.: m-ready/' : '/dut: m-ready/',
    ms: -1,
  };
  const { steps } = script;
  const isTrace = (on: boolean) => (other: ScriptStep) => other.action.do === 'trace' && other.action.on === on;
  const traceOn = steps.findIndex(isTrace(true));
  const traceOff = steps.findIndex(isTrace(false));
  const begin = 1 + (traceOn < 0 ? steps.findIndex(({ action }) => action.do === 'profile') : traceOn);
  const end = traceOff < 0 ? steps.length : traceOff;
  return { ...script, steps: [...steps.slice(0, begin), step, ...steps.slice(begin, end), step, ...steps.slice(end)] };
}
