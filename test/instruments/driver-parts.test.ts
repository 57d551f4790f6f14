import { describe, expect, it } from 'vitest';
import { CallOrder } from '../../src/instruments/call-order.ts';
import { expected, gapCauseOf, settingError, whenLost } from '../../src/instruments/driver-errors.ts';
import { PollLoop } from '../../src/instruments/poll-loop.ts';
import { RequestQueue } from '../../src/instruments/request-queue.ts';
import { watchSilence } from '../../src/instruments/silence-watch.ts';
import { DeviceError } from '../../src/signal/errors.ts';
import { VirtualTime } from '../../src/transport/time.ts';

const deviceError = (code: string) => new DeviceError(code, { where: 'x', problem: 'y', remedy: 'z' });
const identity = {
  family: 'f',
  model: 'm',
  serial: 'SIM-1',
  firmware: null,
  hardware: null,
  rates_Hz: [],
  supplyRange_V: null,
  notices: [],
};

describe('the order of calls', () => {
  it('refuses what comes too early, and says what is needed first', () => {
    const order = new CallOrder('/dev/x');
    expect(() => order.describe()).toThrow(expect.objectContaining({ code: 'device.not-open', where: '/dev/x' }));
    expect(() => order.check('configure()')).toThrow(expect.objectContaining({ remedy: 'call open() first' }));
    order.opened(identity);
    expect(() => order.check('start()')).toThrow(expect.objectContaining({ remedy: 'call configure() first' }));
    order.moveTo('configured');
    order.check('configure()');
    order.check('setVoltage()');
    order.check('start()');
    order.moveTo('sampling');
    expect(() => order.check('setVoltage()')).toThrow(/out of order/);
  });

  it('knows a simulated instrument by its serial number', () => {
    const order = new CallOrder('/dev/x');
    expect(order.opened(identity)).toMatchObject({ simulated: true, connection: '/dev/x' });
    expect(order.opened({ ...identity, serial: null }).simulated).toBe(false);
  });
});

describe('errors of drivers', () => {
  it('name the family and the setting', () => {
    expect(settingError('ppk2')('mode', 'is odd', 'change it')).toMatchObject({
      code: 'instrument.setting',
      where: 'ppk2 setting mode',
    });
  });

  it('are told from bugs, which throw', () => {
    expect(expected(deviceError('device.silent'))).toMatchObject({ code: 'device.silent' });
    expect(() => expected(new TypeError('a bug'))).toThrow('a bug');
  });

  it('tell why samples are missing', () => {
    expect(gapCauseOf(deviceError('device.vanished'))).toBe('unplugged');
    expect(gapCauseOf(deviceError('device.overrun'))).toBe('dropped');
    expect(gapCauseOf(deviceError('device.silent'))).toBe('unknown');
  });

  it('come of a lost connection and not of a closed one', async () => {
    const codes: string[] = [];
    whenLost(Promise.resolve({ kind: 'closed' }), ({ code }) => codes.push(code));
    whenLost(Promise.resolve({ kind: 'lost', error: deviceError('device.vanished') }), ({ code }) => codes.push(code));
    await new Promise(setImmediate);
    expect(codes).toEqual(['device.vanished']);
  });
});

describe('the watch for silence', () => {
  it('calls once, when no sign has come for the limit', async () => {
    const time = new VirtualTime();
    let [lastSign_ns, calls] = [0, 0];
    watchSilence(time, { every_ms: 100, limit_ms: 1000, lastSign_ns: () => lastSign_ns }, () => calls++);
    await time.advance(900);
    lastSign_ns = time.now_ns();
    await time.advance(950);
    expect(calls).toBe(0);
    await time.advance(3000);
    expect(calls).toBe(1);
  });

  it('ends when told to', async () => {
    const time = new VirtualTime();
    let calls = 0;
    const stop = watchSilence(time, { every_ms: 100, limit_ms: 1000, lastSign_ns: () => 0 }, () => calls++);
    await time.advance(500);
    stop();
    await time.advance(5000);
    expect(calls).toBe(0);
  });
});

describe('the poll loop', () => {
  it('asks again as long as it is told to, and passes errors on', async () => {
    const time = new VirtualTime();
    const errors: unknown[] = [];
    let polls = 0;
    const loop = new PollLoop(
      time,
      async () => {
        if (++polls === 3) throw deviceError('device.silent');
        loop.schedule(100);
      },
      (error) => errors.push(error),
    );
    loop.schedule(100);
    await time.advance(1000);
    expect(polls).toBe(3);
    expect(errors).toEqual([expect.objectContaining({ code: 'device.silent' })]);
  });

  it('ends when the question under way has been answered', async () => {
    const time = new VirtualTime();
    let answered = false;
    const answer = async () => {
      await new Promise<void>((resolve) => time.after(50, resolve));
      answered = true;
    };
    const loop = new PollLoop(time, answer, () => {});
    loop.schedule(100);
    await time.advance(110);
    await time.run(loop.end());
    expect(answered).toBe(true);
  });
});

describe('the queue of requests', () => {
  it('carries them out one after the other', async () => {
    const queue = new RequestQueue(() => true);
    const log: number[] = [];
    const slow = queue.inOrder(async () => {
      await new Promise(setImmediate);
      log.push(1);
    });
    await Promise.all([slow, queue.inOrder(async () => log.push(2))]);
    expect(log).toEqual([1, 2]);
  });

  it('answers everything with the error that broke the session, and goes on after others', async () => {
    const queue = new RequestQueue(({ code }) => code === 'device.silent');
    const failing = (code: string) => queue.inOrder(() => Promise.reject(deviceError(code)));
    await expect(failing('device.refused')).rejects.toMatchObject({ code: 'device.refused' });
    expect(await queue.inOrder(async () => 7)).toBe(7);
    await expect(failing('device.silent')).rejects.toMatchObject({ code: 'device.silent' });
    await expect(queue.inOrder(async () => 7)).rejects.toMatchObject({ code: 'device.silent' });
  });
});
