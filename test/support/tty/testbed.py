#!/usr/bin/python3
"""Shows three USB serial ports to a command: two of one PPK2 and one of an LPM01A. The first echoes what it gets.

usage: umockdev-wrapper /usr/bin/python3 testbed.py COMMAND [ARGUMENT...]

No kernel support is needed. The first port has modem lines, and each change of them is printed as a JSON line.
"""
import json
import os
import struct
import subprocess
import sys
import threading
import time

import gi

gi.require_version('UMockdev', '1.0')
from gi.repository import GLib, UMockdev  # noqa: E402

PORT = '''P: /devices/pci0000:00/usb1/1-{usb}/1-{usb}:1.{interface}/tty/ttyACM{n}
N: ttyACM{n}
E: DEVNAME=/dev/ttyACM{n}
E: SUBSYSTEM=tty
E: MAJOR=166
E: MINOR={n}
E: ID_VENDOR_ID={vendor}
E: ID_MODEL_ID={product}
E: ID_SERIAL_SHORT={serial}
E: ID_BUS=usb
E: DEVLINKS=/dev/serial/by-id/usb-{name}_{serial}-if0{interface}
A: dev=166:{n}\\n
'''
PORTS = [
    dict(n=0, usb=2, interface=1, vendor='1915', product='c00a', serial='D4F2A0B1C2D3', name='Nordic_Semiconductor_PPK2'),
    dict(n=1, usb=2, interface=3, vendor='1915', product='c00a', serial='D4F2A0B1C2D3', name='Nordic_Semiconductor_PPK2'),
    dict(n=2, usb=3, interface=0, vendor='0483', product='5740', serial='207A31A1', name='STMicroelectronics_PowerShield'),
]
TIOCMGET, TIOCMBIS, TIOCMBIC, TIOCMSET, TIOCSBRK, TIOCCBRK = 0x5415, 0x5416, 0x5417, 0x5418, 0x5427, 0x5428
lines = 0


def handle(_handler, client):
    global lines
    request = client.get_request() & 0xFFFFFFFF
    if request == TIOCMGET:
        client.get_arg().resolve(0, 4).update(0, struct.pack('<I', lines))
    elif request in (TIOCMBIS, TIOCMBIC, TIOCMSET):
        value = struct.unpack('<I', bytes(client.get_arg().resolve(0, 4).retrieve()))[0]
        lines = {TIOCMBIS: lines | value, TIOCMBIC: lines & ~value, TIOCMSET: value}[request]
        print(json.dumps({'modemLines': lines}), flush=True)
    elif request not in (TIOCSBRK, TIOCCBRK):
        return False
    client.complete(0, 0)
    return True


def echo(fd):
    while True:
        try:
            os.write(fd, os.read(fd, 4096))
        except OSError:
            time.sleep(0.02)  # EIO until the port is opened


bed = UMockdev.Testbed.new()
for port in PORTS:
    bed.add_from_string(PORT.format(**port))
handler = UMockdev.IoctlBase.new()
handler.connect('handle-ioctl', handle)
bed.attach_ioctl('/dev/ttyACM0', handler)
threading.Thread(target=echo, args=(bed.get_dev_fd('/dev/ttyACM0'),), daemon=True).start()

loop = GLib.MainLoop()
status = 1


def run():
    global status
    status = subprocess.call(sys.argv[1:])
    GLib.idle_add(loop.quit)


threading.Thread(target=run, daemon=True).start()
loop.run()
os._exit(status)
