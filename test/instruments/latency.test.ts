import { describe, expect, it } from 'vitest';
import { instrumentFamilies } from '../../src/instruments/families.ts';
import type { InstrumentFamily } from '../../src/instruments/family.ts';
import { Plant } from '../../src/plant/plant.ts';
import type { ClockInfo, SampleBlock } from '../../src/signal/types.ts';
import { leastRoundTrip_s } from '../../src/transport/round-trip.ts';
import { VirtualTime } from '../../src/transport/time.ts';
import { randomFractions } from '../support/random.ts';

const families = await Promise.all(Object.values(instrumentFamilies).map((load) => load()));

const leastDelay_s = 0.2e-3;
const settings: Record<string, Record<string, unknown>> = {
  '34465a': { currentRange: 0.1, externalVoltage_V: 3 },
  // Samples at full rate would take this test long; its messages then take 0.126 s.
  js220: { rate_Hz: 1000 },
};

/** The clock, and by how much blocks arrive later than the true end of their last sample, in s. */
async function arrivals(family: InstrumentFamily): Promise<{ clock: ClockInfo; delays_s: number[] }> {
  const time = new VirtualTime();
  const plant = new Plant({ supply_V: 3, sourceResistance_ohm: 0, waves: [], channels: { D0: true } });
  plant.hold(100, 5e-3);
  plant.finish();
  const random = randomFractions(1);
  const { instrument, emulator } = family.emulate({
    source: plant,
    time,
    sourceStart_ns: time.now_ns(),
    inputs: ['D0'],
    delay_ms: () => leastDelay_s * 1e3 * (1 + random()),
  });
  await time.run(instrument.open());
  const wishes = {
    settings: settings[family.id] ?? {},
    supply: { voltage_V: 3, max_voltage_V: 3.6 },
    channel: 'D0',
  };
  await time.run(instrument.configure(family.settings(wishes) as never));
  if (instrument.supply !== null) {
    await time.run(instrument.supply.setVoltage(3));
    await time.run(instrument.supply.on());
  }
  const stream = instrument.streams[0]!;
  const blocks: SampleBlock[] = [];
  instrument.samples$.subscribe((chunk) => {
    if (chunk.kind === 'block' && chunk.stream === stream.id) blocks.push(chunk);
  });
  await time.run(instrument.start());
  await time.advance(family.id === 'ptdaemon' ? 10_000 : family.id === 'js110' ? 300 : 1500);
  await time.run(instrument.stop());
  await time.run(instrument.close());
  const clock = instrument.clocks.find(({ id }) => id === stream.clock)!;
  // Ticks of a host's clock are times of their own; other clocks begin with the first sample.
  const zero_s = clock.kind === 'host' ? 0 : emulator.firstSample_s!;
  const delays_s = blocks.map((block) => {
    const end = block.endTicks?.at(-1) ?? block.firstTick + block.length * block.ticksPerSample;
    return block.arrival_ns! / 1e9 - zero_s - end / clock.tickHz;
  });
  return { clock, delays_s };
}

describe('how late samples arrive', () => {
  it.each(families.filter(({ transport }) => transport !== 'i2c').map((family) => [family.id, family] as const))(
    '%s: the least delay of its samples lies within the bound that its driver measures',
    async (_id, family) => {
      const { clock, delays_s } = await arrivals(family);
      expect(clock.latencyBound_s).toBeGreaterThanOrEqual(2 * leastDelay_s);
      const least_s = Math.min(...delays_s);
      expect(least_s).toBeGreaterThan(clock.kind === 'host' ? -1e-9 : 0);
      expect(least_s).toBeLessThanOrEqual(clock.latencyBound_s!);
    },
  );

  it.each(families.filter(({ transport }) => transport === 'i2c').map((family) => [family.id, family] as const))(
    '%s on a bus: its driver stamps conversions itself, so nothing is late',
    async (_id, family) => {
      const { clock, delays_s } = await arrivals(family);
      expect(clock).toMatchObject({ id: 'host', kind: 'host' });
      expect(clock.latencyBound_s).toBeUndefined();
      expect(Math.min(...delays_s)).toBeGreaterThan(0);
    },
  );
});

describe('the least round trip', () => {
  it('is that of the quickest of several questions', async () => {
    const time = new VirtualTime();
    const takes_ms = [5, 3, 9, 2, 4, 8, 7, 6];
    const ask = () => new Promise<void>((resolve) => time.after(takes_ms.shift()!, resolve));
    expect(await time.run(leastRoundTrip_s(time, ask))).toBeCloseTo(2e-3, 12);
    expect(takes_ms).toEqual([]);
  });

  it('fails as the question does', async () => {
    const time = new VirtualTime();
    const ask = () => Promise.reject(new Error('gone'));
    await expect(time.run(leastRoundTrip_s(time, ask))).rejects.toThrow('gone');
  });
});
