export { drawFaults, type TriggerPlan, type VirtualFaultKind, virtualFaultKinds } from './faults.ts';
export { VirtualInstrument, type VirtualInstrumentSettings } from './instrument.ts';
export { defaultRate_Hz, mostDelay_s, virtualRanges } from './spec.ts';
