import { describe, expect, it } from 'vitest';
import type { DutClient } from '../../src/dut/client.ts';
import { makeScript, withSync } from '../../src/dut/scripts/index.ts';
import { playSync } from '../../src/dut/sync.ts';
import { DeviceError } from '../../src/signal/errors.ts';

/** A DUT that answers a command with these lines, or an error. */
function dutSaying(answer: string[] | DeviceError): { dut: DutClient; asked: [string, number][] } {
  const asked: [string, number][] = [];
  const dut = {
    identity: { name: 'a DUT' },
    command: async (command: string, limit_ms: number) => {
      asked.push([command, limit_ms]);
      if (answer instanceof DeviceError) throw answer;
      return answer;
    },
  } as unknown as DutClient;
  return { dut, asked };
}

describe('the sync pattern of a DUT', () => {
  it('is asked for in microseconds, and waited for as long as it lasts', async () => {
    const { dut, asked } = dutSaying(['m-sync-start-9-2000', 'm-sync-done\r']);
    await playSync(dut, 9, 2000);
    expect(asked[0]![0]).toBe('sync 9 2000');
    expect(asked[0]![1]).toBeGreaterThan(511 * 2 * 1.05);
  });

  it('of a firmware that does not know it is an error that says what to do', async () => {
    const unknown = new DeviceError('dut.error', {
      where: 'port',
      problem: 'the DUT answers `sync` with e-[Unknown command: sync]',
      remedy: '',
    });
    const failure = playSync(dutSaying(unknown).dut, 7, 2000);
    await expect(failure).rejects.toMatchObject({ code: 'dut.no-sync', where: 'a DUT' });
    await expect(failure).rejects.toThrow('Unknown command: sync');
    await expect(playSync(dutSaying([]).dut, 7, 2000)).rejects.toMatchObject({ code: 'dut.no-sync' });
  });

  it('leaves other failures as they are', async () => {
    const silent = new DeviceError('device.silent', { where: 'port', problem: 'no answer', remedy: '' });
    await expect(playSync(dutSaying(silent).dut, 7, 2000)).rejects.toBe(silent);
  });
});

describe('a script with the sync pattern', () => {
  const inputs = Array.from({ length: 5 }, (_, k) => ({ file: `${k}.bin`, bytes: 490, label: 0 }));
  const commands = (mode: 'energy' | 'accuracy', isRelayed: boolean) => {
    const script = makeScript(mode, 'kws01', inputs, { inferences: 10, isRelayed, hasIoTimer: false });
    return withSync(script, { order: 7, chip_s: 2e-3 }, isRelayed).steps.map(({ command }) => command);
  };

  it('plays it first and last while the trace is on', () => {
    const energy = commands('energy', true);
    const first = energy.indexOf('io dut sync 7 2000');
    const last = energy.lastIndexOf('io dut sync 7 2000');
    expect(energy[first - 1]).toBe('emon trace on trace1');
    expect(energy[last + 1]).toBe('emon trace off');
    expect(energy.filter((command) => command.includes('sync'))).toHaveLength(2);
  });

  it('plays it before the first and after the last inference where there is no trace', () => {
    const accuracy = commands('accuracy', false);
    expect(accuracy.indexOf('dut sync 7 2000')).toBe(accuracy.indexOf('dut profile') + 1);
    expect(accuracy.at(-1)).toBe('dut sync 7 2000');
  });
});
