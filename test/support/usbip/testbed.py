#!/usr/bin/python3
"""Attaches one USB/IP server to a umockdev test bed and runs a command that sees the device through libusb.

usage: umockdev-wrapper /usr/bin/python3 testbed.py PORT COMMAND [ARGUMENT...]

No kernel support is needed: each usbfs ioctl of the command becomes a message of USB/IP, and each answer completes a
request. The command's exit code is passed on.
"""
import os
import socket
import struct
import subprocess
import sys
import threading

import gi

gi.require_version('UMockdev', '1.0')
from gi.repository import GLib, UMockdev  # noqa: E402

SYS_PATH = '/sys/devices/pci0000:00/usb1/1-1'
DEVICE = '/dev/bus/usb/001/002'
DEVICE_ID = 0x10002

# linux/usbdevice_fs.h, 64 bit
SUBMITURB = 0x8038550A
REAPURB = 0x4008550C
REAPURBNDELAY = 0x4008550D
DISCARDURB = 0x550B
GETDRIVER = 0x41045508
GET_CAPABILITIES = 0x8004551A
ACCEPTED = {
    0x8004550F,  # CLAIMINTERFACE
    0x80045510,  # RELEASEINTERFACE
    0x80045505,  # SETCONFIGURATION
    0x80085504,  # SETINTERFACE
    0x80045515,  # CLEAR_HALT
    0x8108551B,  # DISCONNECT_CLAIM
}
URB_BYTES = 56
URB_CONTROL = 2
ENOENT, EIO, EAGAIN, ENODEV, EINVAL, ENOTTY, ENODATA = 2, 5, 11, 19, 22, 25, 61


class Link:
    """The client's side of USB/IP."""

    def __init__(self, port):
        self.socket = socket.create_connection(('127.0.0.1', port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sequence = 0
        self.socket.sendall(struct.pack('>HHI', 0x0111, 0x8003, 0) + b'1-1'.ljust(32, b'\0'))
        _, _, status = struct.unpack('>HHI', self.read(8))
        if status:
            sys.exit(f'the import was refused: {status}')
        self.vendor, self.product, self.release = struct.unpack_from('>HHH', self.read(312), 300)

    def read(self, count):
        parts = []
        while count > 0:
            part = self.socket.recv(min(count, 1 << 20))
            if not part:
                raise EOFError
            parts.append(part)
            count -= len(part)
        return b''.join(parts)

    def submit(self, endpoint, is_in, setup, length, data=b''):
        self.sequence += 1
        header = struct.pack('>IIIIIIiIII', 1, self.sequence, DEVICE_ID, is_in, endpoint, 0, length, 0, 0, 0)
        self.socket.sendall(header + setup + data)
        return self.sequence

    def unlink(self, target):
        self.sequence += 1
        self.socket.sendall(struct.pack('>IIIII', 2, self.sequence, DEVICE_ID, 0, 0) + struct.pack('>I', target) + bytes(24))
        return self.sequence

    def descriptor(self, kind, index, length=255):
        language = 0x0409 if kind == 3 else 0
        self.submit(0, 1, struct.pack('<BBHHH', 0x80, 6, kind << 8 | index, language, length), length)
        status, actual = struct.unpack_from('>iI', self.read(48), 20)
        return self.read(actual) if status == 0 else b''


class Request:
    """A request of the command that is under way."""

    def __init__(self, urb, buffer, is_in, offset):
        self.urb = urb
        self.buffer = buffer
        self.is_in = is_in
        self.offset = offset


class Bed:
    def __init__(self, port):
        self.link = Link(port)
        self.bed = UMockdev.Testbed.new()
        self.bed.add_from_string(self.describe())
        self.under_way = {}
        self.unlinking = {}
        self.finished = []
        self.is_gone = False
        # umockdev calls on_ioctl in a thread of its own.
        self.lock = threading.RLock()
        self.handler = UMockdev.IoctlBase.new()
        self.handler.connect('handle-ioctl', self.on_ioctl)
        self.bed.attach_ioctl(DEVICE, self.handler)

    def describe(self):
        link = self.link
        device = link.descriptor(1, 0, 18)
        raw = (device + link.descriptor(2, 0)).hex().upper()
        maker, name, serial = (link.descriptor(3, device[k])[2:].decode('utf-16le') for k in (14, 15, 16))
        lines = [
            f'P: {SYS_PATH[4:]}',
            f'N: {DEVICE[5:]}={raw}',
            'E: DEVTYPE=usb_device',
            f'E: DEVNAME={DEVICE}',
            'E: BUSNUM=001',
            'E: DEVNUM=002',
            'E: MAJOR=189',
            'E: MINOR=1',
            'E: SUBSYSTEM=usb',
            f'H: descriptors={raw}',
        ]
        attributes = {
            'busnum': 1, 'devnum': 2, 'speed': 480, 'version': ' 2.00', 'devpath': 1,
            'idVendor': f'{link.vendor:04x}', 'idProduct': f'{link.product:04x}', 'bcdDevice': f'{link.release:04x}',
            'bDeviceClass': 'ff', 'bDeviceSubClass': '00', 'bDeviceProtocol': '00',
            'bConfigurationValue': 1, 'bNumConfigurations': 1,
            'manufacturer': maker, 'product': name, 'serial': serial,
        }
        lines += [f'A: {key}={value}\\n' for key, value in attributes.items()]
        return '\n'.join(lines) + '\n'

    def read_answers(self):
        """Runs in a thread of its own."""
        try:
            while True:
                header = self.link.read(48)
                command, sequence = struct.unpack_from('>II', header)
                status, actual = struct.unpack_from('>iI', header, 20)
                if command == 3:
                    with self.lock:
                        request = self.under_way.get(sequence)
                    data = self.link.read(actual) if request and request.is_in and actual else b''
                    GLib.idle_add(self.on_answer, sequence, status, actual, data, priority=GLib.PRIORITY_HIGH)
                else:
                    GLib.idle_add(self.on_unlinked, sequence, priority=GLib.PRIORITY_HIGH)
        except (EOFError, OSError):
            GLib.idle_add(self.on_unplugged)

    def on_unplugged(self):
        self.is_gone = True
        self.bed.uevent(SYS_PATH, 'remove')
        self.bed.remove_device(SYS_PATH)
        return False

    def on_answer(self, sequence, status, actual, data):
        with self.lock:
            request = self.under_way.pop(sequence, None)
            if request:
                if data:
                    request.buffer.update(request.offset, data)
                self.finish(request, status, actual)
        return False

    def on_unlinked(self, sequence):
        with self.lock:
            request = self.under_way.pop(self.unlinking.pop(sequence, None), None)
            if request:
                self.finish(request, -ENOENT, 0)
        return False

    def finish(self, request, status, actual):
        request.urb.update(4, struct.pack('<i', status))
        request.urb.update(28, struct.pack('<i', actual))
        self.finished.append(request.urb)

    def on_ioctl(self, _handler, client):
        code = client.get_request() & 0xFFFFFFFF
        try:
            with self.lock:
                result = self.carry_out(code, client.get_arg())
        except Exception as error:  # an exception would be swallowed and the client would hang
            print(f'ioctl {code:08x}: {error!r}', file=sys.stderr)
            result = -EIO
        client.complete(*((result, 0) if result >= 0 else (-1, -result)))
        return True

    def carry_out(self, code, argument):
        if self.is_gone:
            return -ENODEV
        if code == SUBMITURB:
            return self.submit(argument)
        if code in (REAPURB, REAPURBNDELAY):
            if not self.finished:
                return -EAGAIN
            argument.resolve(0, 8).set_ptr(0, self.finished.pop(0))
            return 0
        if code == DISCARDURB:
            address = struct.unpack('<Q', bytes(argument.retrieve())[:8])[0]
            for sequence, request in self.under_way.items():
                if request.urb.client_addr == address:
                    self.unlinking[self.link.unlink(sequence)] = sequence
                    return 0
            return -EINVAL
        if code == GET_CAPABILITIES:
            argument.resolve(0, 4).update(0, struct.pack('<I', 1))
            return 0
        if code == GETDRIVER:
            return -ENODATA
        return 0 if code in ACCEPTED else -ENOTTY

    def submit(self, argument):
        urb = argument.resolve(0, URB_BYTES)
        fields = bytes(urb.retrieve())
        kind, endpoint = fields[0], fields[1]
        length = struct.unpack_from('<i', fields, 24)[0]
        buffer = urb.resolve(16, length) if length else None
        # The answer may come before submit() returns: enter the request first.
        sequence = self.link.sequence + 1
        if kind == URB_CONTROL:
            raw = bytes(buffer.retrieve())
            setup = raw[:8]
            is_in = setup[0] >> 7
            wanted = struct.unpack_from('<H', setup, 6)[0]
            self.under_way[sequence] = Request(urb, buffer, is_in, 8)
            self.link.submit(0, is_in, setup, wanted, b'' if is_in else raw[8 : 8 + wanted])
        else:
            is_in = endpoint >> 7
            self.under_way[sequence] = Request(urb, buffer, is_in, 0)
            data = b'' if is_in or not buffer else bytes(buffer.retrieve())
            self.link.submit(endpoint & 15, is_in, bytes(8), length, data)
        return 0


def main():
    bed = Bed(int(sys.argv[1]))
    loop = GLib.MainLoop()
    codes = []

    def run():
        codes.append(subprocess.call(sys.argv[2:]))
        GLib.idle_add(loop.quit)

    threading.Thread(target=bed.read_answers, daemon=True).start()
    threading.Thread(target=run, daemon=True).start()
    loop.run()
    os._exit(codes[0])


main()
