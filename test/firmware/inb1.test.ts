import { beforeAll, describe, expect, it } from 'vitest';
import { parseInb1 } from '../../src/instruments/ina2xx/inb1.ts';
import { compileHooks, noCompiler, runProgram } from '../support/c-compiler.ts';

/** Undoes COBS: the bytes of one frame without its final 0. */
function unstuff(frame: Uint8Array): number[] {
  const out: number[] = [];
  for (let at = 0; at < frame.length; ) {
    const code = frame[at];
    expect(code).toBeGreaterThan(0);
    out.push(...frame.subarray(at + 1, at + code));
    at += code;
    if (code < 0xff && at < frame.length) out.push(0);
  }
  return out;
}

/** CRC-16/CCITT-FALSE by long division of the message's bits. */
function crc16(bytes: readonly number[]): number {
  let register = 0xffff;
  for (const byte of bytes) {
    for (let bit = 7; bit >= 0; bit--) {
      const carry = (register >> 15) ^ ((byte >> bit) & 1);
      register = ((register << 1) & 0xffff) ^ (carry * 0x1021);
    }
  }
  return register;
}

const withCrc = (frame: Uint8Array): Uint8Array => {
  const crc = crc16([...frame]);
  return Uint8Array.from([...frame, crc & 0xff, crc >> 8]);
};

describe.skipIf(noCompiler !== null)(`the protocol of the INA226 and INA228 bridge ${noCompiler ?? ''}`, () => {
  let program = '';
  beforeAll(() => {
    program = compileHooks({ sources: ['test/inb1_test.c', 'ina226-bridge/inb1.c'], includes: ['ina226-bridge'] });
  });

  /** Bytes to the host, and calls of the board in text. */
  const session = (...lines: string[]) => {
    const { stdout, stderr, status } = runProgram(program, `${lines.join('\n')}\n`);
    expect(status, stderr).toBe(0);
    const said = stdout.trim().split('\n');
    const bytes = Buffer.concat(
      said.filter((line) => line.startsWith('= ')).map((line) => Buffer.from(line.slice(2), 'hex')),
    );
    return { bytes, text: bytes.toString('latin1'), calls: said.filter((line) => !line.startsWith('= ')) };
  };

  /** Frames after the answer to `bin`, each checked and without its CRC. */
  const frames = (...lines: string[]): Buffer[] => {
    const { bytes } = session('h bin', ...lines);
    const parts: Buffer[] = [];
    for (let at = 'ok bin\n'.length; at < bytes.length; ) {
      const end = bytes.indexOf(0, at);
      const frame = unstuff(bytes.subarray(at, end));
      expect(frame.at(-2)! + 256 * frame.at(-1)!).toBe(crc16(frame.slice(0, -2)));
      parts.push(Buffer.from(frame.slice(0, -2)));
      at = end + 1;
    }
    return parts;
  };

  it('has the CRC of the specification', () => {
    expect(session('c').calls).toEqual(['crc 29b1']);
    expect(crc16([...Buffer.from('123456789')])).toBe(0x29b1);
  });

  it.each([0, 1, 253, 254, 255, 256, 508, 509, 1000])('stuffs %i bytes so that they come back', (n) => {
    const { bytes } = session(`z ${n}`);
    expect(bytes.indexOf(0)).toBe(bytes.length - 1);
    expect(unstuff(bytes.subarray(0, -1))).toEqual(Array.from({ length: n }, (_, k) => (k + 1) & 255));
  });

  it('answers in text until it is told `bin`', () => {
    expect(session('h id', 'h scan', 'h shunt 0 0.05', 'h cfg 1 0x4527', 'h gpio 3 both', 'h sync 77').text).toBe(
      [
        'INB1 v=1 fw=test sn=SIM-01 tick=1000000 chips=3',
        'ok id',
        'chip 0 addr=0x40 id=0x2260',
        'chip 1 addr=0x41 id=0x2260',
        'chip 2 addr=0x44 id=0x2281',
        'ok scan',
        'ok shunt',
        'ok cfg',
        'ok gpio',
        'sync 77 1000',
        'ok sync',
        '',
      ].join('\n'),
    );
  });

  it.each([
    ['nonsense', 'err nonsense 1 unknown command'],
    ['cfg 3 4127', 'err cfg 1 cfg <chip> <hex16>'],
    ['cfg 2 10', 'err cfg 1 cfg <chip> <hex16> <hex16>'],
    ['cfg 2 10 10000', 'err cfg 1 cfg <chip> <hex16> <hex16>'],
    ['cfg 0 10000', 'err cfg 1 cfg <chip> <hex16>'],
    ['cfg 0 dead', 'err cfg 1 the chip does not answer'],
    ['shunt 0 -1', 'err shunt 1 shunt <chip> <ohm>'],
    ['shunt 0 1.2.3', 'err shunt 1 shunt <chip> <ohm>'],
    ['gpio 256 rise', 'err gpio 1 gpio <mask> <rise|fall|both>'],
    ['gpio 1 up', 'err gpio 1 gpio <mask> <rise|fall|both>'],
    ['sync 4294967296', 'err sync 1 sync <u32>'],
    [`id ${'x'.repeat(100)}`, 'err id 2 the line is too long'],
  ])('refuses %j', (command, answer) => {
    expect(session(`h ${command}`).text).toBe(`${answer}\n`);
  });

  it('refuses a configuration under way', () => {
    expect(session('h start', 'h cfg 0 4127').text).toContain('err cfg 1 stop first');
  });

  it('says hello with shunts and configurations, then sends samples in frames of 16 with their own times', () => {
    const samples = Array.from(
      { length: 18 },
      (_, k) => `s 0 ${1_000_000 + 2200 * k} ${k === 3 ? -8000 : 100 + k} 9584`,
    );
    const [hello, ok, first, rest, stopped] = frames('h shunt 0 0.05', 'h start', ...samples, 'h stop').slice(1);
    expect(hello[0]).toBe(1);
    expect([hello.readUInt8(1), hello.readUInt32LE(2), hello.readUInt8(6)]).toEqual([1, 1_000_000, 3]);
    expect([hello[8], hello[16], hello[24]]).toEqual([0x26, 0x26, 0x28]);
    expect([hello.readUInt8(8), hello.readUInt16LE(9), hello.readFloatLE(11)]).toEqual([
      0x26,
      0x4127,
      Math.fround(0.05),
    ]);
    expect(ok.subarray(1).toString()).toBe('ok start');
    expect([first[0], first[1], first.readUInt32LE(2), Number(first.readBigUInt64LE(6))]).toEqual([2, 0, 0, 1_000_000]);
    // Reset value 0x4127: no averaging, 1.1 ms each.
    expect([first.readUInt32LE(14), first[18], first.length]).toEqual([2200, 16, 19 + 16 * 6]);
    expect([first.readUInt16LE(19), first.readUInt16LE(25)]).toEqual([0, 2200]);
    expect([first.readInt16LE(19 + 3 * 6 + 2), first.readUInt16LE(19 + 3 * 6 + 4)]).toEqual([-8000, 9584]);
    expect([rest.readUInt32LE(2), Number(rest.readBigUInt64LE(6)), rest[18]]).toEqual([16, 1_000_000 + 2200 * 16, 2]);
    expect(stopped.subarray(1).toString()).toBe('ok stop');
  });

  it('sends the samples of an INA228 with 32 bits a code, after both of its registers were written', () => {
    expect(session('h cfg 2 0x0010 b287').calls).toEqual(['configure 2 0010 b287']);
    const samples = ['s 2 5000 -524288 128000', 's 2 460552 524287 0'];
    const found = frames('h cfg 2 10 b287', 'h start', ...samples, 'h stop').filter((frame) => frame[0] === 2);
    // 1,024 times 84 us and 150 us; the second is too late for 16 bits.
    expect(found.map((frame) => [frame[1], frame.readUInt32LE(14), frame[18], frame.length])).toEqual([
      [2, 239_616, 1, 29],
      [2, 239_616, 1, 29],
    ]);
    expect(found.map((frame) => [frame.readInt32LE(21), frame.readInt32LE(25)])).toEqual([
      [-524_288, 128_000],
      [524_287, 0],
    ]);
    const full = Array.from({ length: 16 }, (_, k) => `s 2 ${5000 + 100 * k} ${-k} ${1000 * k}`);
    const [frame] = frames('h start', ...full).filter(([type]) => type === 2);
    expect(frame!.length).toBe(19 + 16 * 10);
    expect([frame!.readUInt16LE(169), frame!.readInt32LE(171), frame!.readInt32LE(175)]).toEqual([100, -15, 15_000]);
    expect(parseInb1(withCrc(frame!))).toMatchObject({
      type: 'samples',
      chip: 2,
      shunt: Array.from({ length: 16 }, (_, k) => (k === 0 ? 0 : -k)),
      bus: Array.from({ length: 16 }, (_, k) => 1000 * k),
    });
    // As at power-on: bus, shunt and temperature, 1.052 ms each.
    expect(frame!.readUInt32LE(14)).toBe(3156);
  });

  it('says hello also where frames are asked for while it runs', () => {
    const { bytes, text } = session('h start', 'h bin');
    expect(text.startsWith('ok start\nok bin\n')).toBe(true);
    expect(unstuff(bytes.subarray('ok start\nok bin\n'.length, -1))[0]).toBe(1);
  });

  it('leaves the numbers of lost samples out, and begins a new frame after a long pause', () => {
    const found = frames('h start', 's 0 100 1 1', 'l 0 5', 's 0 300 2 2', 's 0 90000 3 3', 'h stop').filter(
      (frame) => frame[0] === 2 || frame[0] === 4,
    );
    expect(found.map((frame) => [frame[0], frame.readUInt32LE(2)])).toEqual([
      [2, 0],
      [4, 5],
      [2, 6],
      [2, 7],
    ]);
  });

  it('numbers edges, and answers sync on the clock of the samples', () => {
    const found = frames(
      'h gpio 1 both',
      'h start',
      'e 4294967296000 0 1',
      'e 4294967296009 0 0',
      'x 3',
      'e 4294967296010 0 1',
      'h sync 305419896',
    );
    const edges = found.filter((frame) => frame[0] === 3);
    expect(edges.map((frame) => Number(frame.readBigUInt64LE(1)))).toEqual([
      4294967296000, 4294967296009, 4294967296010,
    ]);
    expect(edges.map((frame) => [frame[9], frame[10], frame.readUInt32LE(11)])).toEqual([
      [0, 1, 0],
      [0, 0, 1],
      // Three were lost between.
      [0, 1, 5],
    ]);
    const sync = found.find((frame) => frame[0] === 5)!;
    expect([sync.readUInt32LE(1), Number(sync.readBigUInt64LE(5))]).toEqual([305_419_896, 1000]);
  });

  it('sends nothing before `start` and after `stop`', () => {
    expect(frames('s 0 1 1 1', 'e 2 0 1', 'l 0 3').length).toBe(0);
    expect(frames('h start', 'h stop', 's 0 1 1 1', 'e 2 0 1').filter((frame) => frame[0] === 2)).toEqual([]);
  });
});
