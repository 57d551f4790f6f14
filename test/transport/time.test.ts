import { describe, expect, it } from 'vitest';
import { LinkDelay, realTime, VirtualTime, wait, within } from '../../src/transport/time.ts';

describe('virtual time', () => {
  it('fires timers in the order of their times, each at its own time', async () => {
    const time = new VirtualTime();
    const seen: [string, number][] = [];
    time.after(20, () => seen.push(['b', time.now_ns()]));
    time.after(10, () => seen.push(['a', time.now_ns()]));
    time.after(40, () => seen.push(['never', 0]));
    await time.advance(30);
    expect(seen).toEqual([
      ['a', 10e6],
      ['b', 20e6],
    ]);
    expect(time.now_ns()).toBe(30e6);
  });

  it('runs a chain of waits to its end without waiting', async () => {
    const time = new VirtualTime();
    const work = (async () => {
      for (let i = 0; i < 100; i++) await wait(time, 60_000);
      return 'done';
    })();
    expect(await time.run(work)).toBe('done');
    expect(time.now_ns()).toBe(100 * 60_000 * 1e6);
  });

  it('does not fire a cancelled timer', async () => {
    const time = new VirtualTime();
    let fired = false;
    time.after(5, () => {
      fired = true;
    })();
    await time.advance(10);
    expect(fired).toBe(false);
  });

  it('says so when the work waits for something that no timer brings', async () => {
    await expect(new VirtualTime().run(new Promise(() => {}))).rejects.toThrow('no timer brings');
  });
});

describe('within', () => {
  it('passes the outcome on when it comes in time', async () => {
    expect(await within(realTime, 1000, Promise.resolve(3), () => new Error('late'))).toBe(3);
    await expect(within(realTime, 1000, Promise.reject(new Error('own')), () => new Error('late'))).rejects.toThrow(
      'own',
    );
  });

  it('rejects with the given error when it does not', async () => {
    await expect(within(realTime, 5, new Promise(() => {}), () => new Error('late'))).rejects.toThrow('late');
  });
});

describe('a link on which messages take time', () => {
  it('delivers each after its delay, and none before an earlier one', async () => {
    const time = new VirtualTime();
    const delays_ms = [5, 1, 2];
    const delay = new LinkDelay(time, () => delays_ms.shift()!);
    const delivered: [string, number][] = [];
    for (const name of ['a', 'b']) delay.deliver(() => delivered.push([name, time.now_ns() / 1e6]));
    await time.advance(10);
    await time.run(delay.pass());
    expect(delivered).toEqual([
      ['a', 5],
      ['b', 5],
    ]);
    expect(time.now_ns() / 1e6).toBe(12);
  });
});
