/** JS220 frames to aligned current, voltage and range: Joulemark's decoder against a plain one and a copy of the bytes. */
import { FrameReader } from '../src/instruments/js220/protocol.ts';
import { Js220Decoder } from '../src/instruments/js220/streams.ts';

const SAMPLES = 4_032_000;
const TRANSFER_FRAMES = 32;
const RUNS = 5;

/** What the instrument sends for `SAMPLES` samples: 4 frames of current and of voltage, then one of ranges. */
function stream(): Uint8Array {
  const frames: Uint8Array[] = [];
  const next = new Map<number, number>();
  const push = (port: number, ticks: number) => {
    const frame = new Uint8Array(512);
    const view = new DataView(frame.buffer);
    view.setUint32(0, ((frames.length & 0xffff) | (508 << 16) | (port << 25)) >>> 0, true);
    view.setUint32(4, next.get(port) ?? 0, true);
    next.set(port, (next.get(port) ?? 0) + ticks);
    if (port === 20) frame.fill(0x33, 8);
    else for (let k = 0; k < 126; k++) view.setFloat32(8 + 4 * k, 1e-3 * (k + 1), true);
    frames.push(frame);
  };
  for (let n = 0; n < SAMPLES; n += 504) {
    for (let k = 0; k < 4; k++) {
      push(21, 252);
      push(22, 252);
    }
    push(20, 1008);
  }
  return new Uint8Array(Buffer.concat(frames));
}

const bytes = stream();
const transferBytes = 512 * TRANSFER_FRAMES;

function best(work: () => number): { seconds: number; check: number } {
  let seconds = Number.POSITIVE_INFINITY;
  let check = 0;
  for (let run = 0; run < RUNS; run++) {
    const start = performance.now();
    check = work();
    seconds = Math.min(seconds, (performance.now() - start) / 1000);
  }
  return { seconds, check };
}

const ours = best(() => {
  const reader = new FrameReader();
  const decoder = new Js220Decoder({
    main: 'main',
    inputs: 'inputs',
    ticksPerSample: 2,
    power: false,
    logic: [],
    where: 'bench',
  });
  decoder.timeMap({ utc_ns: 0n, counter: 0, counter_Hz: 2e6 });
  let n = 0;
  for (let at = 0; at < bytes.length; at += transferBytes) {
    const transfer = bytes.subarray(at, at + transferBytes);
    reader.read(transfer, (port, start, end) => decoder.message(port, transfer, start, end));
    for (const item of decoder.drain()) if (item.kind === 'block') n += item.length;
  }
  return n;
});

const plain = best(() => {
  const waiting: Record<number, number[]> = { 20: [], 21: [], 22: [] };
  let n = 0;
  for (let at = 0; at < bytes.length; at += 512) {
    const frame = Buffer.from(bytes.buffer, at, 512);
    const port = frame.readUInt32LE(0) >>> 25;
    const values = waiting[port]!;
    if (port === 20) for (let k = 8; k < 512; k++) values.push(frame[k]! & 15);
    else for (let k = 8; k < 512; k += 4) values.push(frame.readFloatLE(k));
    const ready = Math.min(waiting[20]!.length, waiting[21]!.length, waiting[22]!.length);
    if (ready === 0) continue;
    for (const list of Object.values(waiting)) list.splice(0, ready);
    n += ready;
  }
  return n;
});

const copy = best(() => {
  let n = 0;
  for (let at = 0; at < bytes.length; at += transferBytes) n += bytes.slice(at, at + transferBytes).length;
  return (n / 512 / 9) * 504;
});

for (const result of [ours, plain, copy]) {
  if (result.check !== SAMPLES) throw new Error(`${result.check} samples instead of ${SAMPLES}`);
}
const rate = (seconds: number) => `${(SAMPLES / seconds / 1e6).toFixed(0)} Msample/s`;
console.log(
  `Joulemark decoder        ${rate(ours.seconds)} = ${(SAMPLES / ours.seconds / 1e6).toFixed(0)} x real time`,
);
console.log(`plain per-sample decoder ${rate(plain.seconds)}; ratio ${(plain.seconds / ours.seconds).toFixed(1)}`);
console.log(`copy of the bytes        ${rate(copy.seconds)}; ratio ${(copy.seconds / ours.seconds).toFixed(3)}`);
