import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PluginReader } from '../../../src/dut/qemu/plugin-events.ts';
import { QemuTimeline } from '../../../src/dut/qemu/timeline.ts';
import type { ByteStream } from '../../../src/transport/byte-stream.ts';

/** A PTY whose bytes come when told. */
function fakePty() {
  let listener: (chunk: Uint8Array) => void = () => {};
  const stream: ByteStream = {
    name: 'fake',
    closed: new Promise(() => {}),
    write: async () => {},
    onData: (take) => {
      listener = take;
      return () => {};
    },
    close: async () => {},
  };
  return { stream, bring: (text: string) => listener(Buffer.from(text, 'latin1')) };
}

/** What a session gives, as strings: bytes and edges in order, and lines with the clock when they are heard. */
function record(timeline: QemuTimeline) {
  const events: string[] = [];
  const lines: string[] = [];
  let part = '';
  timeline.onEvent((event) => {
    const instructions = Math.round(event.time_s / 64e-9);
    events.push(`${event.kind === 'edge' ? event.polarity : String.fromCharCode(event.byte)} ${instructions}`);
  });
  timeline.onData((chunk) => {
    part += Buffer.from(chunk).toString('latin1');
    for (let end = part.indexOf('\n'); end >= 0; end = part.indexOf('\n')) {
      lines.push(`${part.slice(0, end)} ${timeline.time.now_ns() / 64}`);
      part = part.slice(end + 1);
    }
  });
  return { events, lines };
}

const plugin = 'F 1\nT 10\nT 20\nR 25\nR 26\nT 30\nF 31\nT 40\nT 50\n';
const bytes = 'ab\nc\n';
const expected = {
  events: ['a 10', 'b 20', 'rise 25', '\n 30', 'fall 31', 'c 40', '\n 50'],
  lines: ['ab 30', 'c 50'],
};

describe('the timeline of the DUT in QEMU', () => {
  it('is the same however the bytes and the plugin’s lines arrive', () => {
    const cuts = (length: number) => fc.array(fc.nat(length), { maxLength: 8 });
    fc.assert(
      fc.property(cuts(plugin.length), cuts(bytes.length), fc.array(fc.boolean(), { maxLength: 30 }), (a, b, order) => {
        const pieces = (text: string, at: number[]) => {
          const sorted = [0, ...[...at].sort((x, y) => x - y), text.length];
          return sorted.slice(1).map((end, k) => text.slice(sorted[k], end));
        };
        const pty = fakePty();
        const timeline = new QemuTimeline(pty.stream);
        const seen = record(timeline);
        const reader = new PluginReader();
        const [left, right] = [pieces(plugin, a), pieces(bytes, b)];
        for (const isPlugin of [...order, ...left.map(() => true), ...right.map(() => false)]) {
          if (isPlugin) timeline.push(reader.push(left.shift() ?? ''));
          else pty.bring(right.shift() ?? '');
        }
        expect(seen).toEqual(expected);
      }),
    );
  });

  it('holds bytes back until somebody listens', () => {
    const pty = fakePty();
    const timeline = new QemuTimeline(pty.stream);
    timeline.push(new PluginReader().push('T 10\nT 20\n'));
    pty.bring('x\n');
    expect(record(timeline).lines).toEqual(['x 20']);
  });
});
