export { drawFaults, type TriggerPlan, type VirtualFaultKind, virtualFaultKinds } from './faults.ts';
export { VirtualInstrument } from './instrument.ts';
export { defaultRate_Hz } from './spec.ts';
