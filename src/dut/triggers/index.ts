export { ControlLineSource } from './control-line.ts';
export { DutMessageSource } from './dut-messages.ts';
export { GpioSource } from './gpio.ts';
export { InstrumentPinSource } from './instrument-pin.ts';
export { IoTimestampSource } from './io-timestamps.ts';
export { openLogicRecording, RecordingSource } from './recording.ts';
export { checkPulse, type TriggerSource } from './trigger-source.ts';
