// Lists the serial ports of a test bed and talks to the first; one JSON line for each finding.
import { listSerial, openSerial } from '../../../dist/transport/serial.js';

const say = (finding) => process.stdout.write(`${JSON.stringify(finding)}\n`);

say({ ports: await listSerial() });
const port = await openSerial('/dev/ttyACM0', { baudRate: 115_200, signals: { dtr: true, rts: false } });
const heard = new Promise((resolve) => {
  let text = '';
  port.onData((chunk) => {
    text += Buffer.from(chunk).toString();
    if (text.length >= 5) resolve(text);
  });
});
await port.write(Buffer.from('hello'));
say({ heard: await heard });
await port.close();
process.exit(0);
