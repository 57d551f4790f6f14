export { ControlLineSource } from './control-line.ts';
export { DutMessageSource } from './dut-messages.ts';
export { GpioSource } from './gpio.ts';
export { InstrumentPinSource } from './instrument-pin.ts';
export { IoTimestampSource } from './io-timestamps.ts';
export type { LogicRecording } from './logic-recording.ts';
export {
  describeRecording,
  openLogicRecording,
  type RecordedLines,
  RecordingFileSource,
  recordedEdges,
  recordingClock,
} from './recording.ts';
export { checkPulse, type TriggerDescription, type TriggerSource } from './trigger-source.ts';
