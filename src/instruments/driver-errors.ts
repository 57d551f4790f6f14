import { DeviceError, UsageError } from '../signal/errors.ts';
import type { GapCause } from '../signal/types.ts';
import type { CloseReason } from '../transport/byte-stream.ts';

/** Makes the errors of one family about a setting that it does not have; `problem` and `remedy` go on after its name. */
export function settingError(family: string): (setting: string, problem: string, remedy: string) => UsageError {
  return (setting, problem, remedy) =>
    new UsageError('instrument.setting', { where: `${family} setting ${setting}`, problem, remedy });
}

/** An instrument on USB that sends nothing any more; `problem` says what has not come. */
export function stalledOnUsb(where: string, model: string, problem: string): DeviceError {
  return new DeviceError('device.stalled', {
    where,
    problem,
    remedy: `plug the ${model} into another USB port (no hub), close other programs that use it, and start again`,
  });
}

/** What was caught, if it is an expected failure. @throws the error itself if it is a bug */
export function expected(error: unknown): DeviceError {
  if (error instanceof DeviceError) return error;
  throw error;
}

/** Why samples are missing after a request failed. */
export function gapCauseOf(error: DeviceError): GapCause {
  if (error.code === 'device.vanished') return 'unplugged';
  return error.code === 'device.overrun' ? 'dropped' : 'unknown';
}

/** Calls `fail` when the other side of a transport has vanished, and not when it was closed. */
export function whenLost(closed: Promise<CloseReason>, fail: (error: DeviceError) => void): void {
  closed.then((reason) => {
    if (reason.kind === 'lost') fail(reason.error);
  });
}
