import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { memoryPair } from '../../src/transport/memory.ts';

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

describe('an in-memory connection', () => {
  it('delivers all bytes in order, whatever the chunking', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.uint8Array({ minLength: 1, maxLength: 50 }), { maxLength: 20 }),
        fc.array(fc.integer({ min: 0, max: 70 }), { minLength: 1, maxLength: 10 }),
        async (writes, sizes) => {
          let turnOf = 0;
          const [host, device] = memoryPair('test', () => sizes[turnOf++ % sizes.length]!);
          const got: number[] = [];
          host.onData((chunk) => got.push(...chunk));
          for (const bytes of writes) await device.write(bytes);
          for (let i = 0; i < 4; i++) await turn();
          expect(got).toEqual(writes.flatMap((bytes) => [...bytes]));
        },
      ),
      { numRuns: 200 },
    );
  });

  it('merges writes when told to hold bytes back', async () => {
    const [host, device] = memoryPair('test', () => 0);
    const chunks: number[][] = [];
    host.onData((chunk) => chunks.push([...chunk]));
    device.write(Uint8Array.of(1, 2));
    device.write(Uint8Array.of(3));
    await turn();
    await turn();
    expect(chunks).toEqual([[1, 2, 3]]);
  });

  it('holds bytes back until somebody listens', async () => {
    const [host, device] = memoryPair('test');
    await device.write(Uint8Array.of(7));
    await turn();
    const got: number[] = [];
    host.onData((chunk) => got.push(...chunk));
    await turn();
    expect(got).toEqual([7]);
  });

  it('does not share memory with the writer', async () => {
    const [host, device] = memoryPair('test');
    const got: number[] = [];
    host.onData((chunk) => got.push(...chunk));
    const bytes = Uint8Array.of(1);
    const written = device.write(bytes);
    bytes[0] = 9;
    await written;
    await turn();
    expect(got).toEqual([1]);
  });

  it('is lost on both ends when unplugged', async () => {
    const [host, device] = memoryPair('ppk2 at test');
    host.unplug();
    for (const end of [host, device]) {
      const reason = await end.closed;
      expect(reason).toMatchObject({ kind: 'lost', error: { code: 'device.vanished' } });
      await expect(end.write(Uint8Array.of(1))).rejects.toMatchObject({ code: 'device.vanished' });
    }
  });

  it('is closed on this side and lost on the other after close()', async () => {
    const [host, device] = memoryPair('test');
    await device.close();
    await device.close();
    expect(await device.closed).toEqual({ kind: 'closed' });
    expect(await host.closed).toMatchObject({ kind: 'lost' });
    await expect(device.write(Uint8Array.of(1))).rejects.toMatchObject({ code: 'transport.closed' });
  });
});
