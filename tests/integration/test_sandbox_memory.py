"""Memory by other names: whatever a build calls it, it is counted, refused, or too little to matter."""

from __future__ import annotations

import platform
from collections.abc import Iterator

import pytest

from rebuilder.environments.store import EnvironmentStore
from rebuilder.model.attempt import Limit, Outcome
from rebuilder.model.definition import Limits
from tests.fakes.rooms import real_room
from tests.fakes.sandbox import Room

MB = 1 << 20
LIMIT = 128 * MB
AIM = 300 * MB
"""What each program tries to hold; it stops there by itself."""

BEGIN = f"""
import array, ctypes, fcntl, json, mmap, os, resource, select, signal, socket, struct, time
libc = ctypes.CDLL(None, use_errno=True)
AIM, held, kept = {AIM}, 0, []
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_long]
def fork_and_hold(hold):
    # Children hold it, so that no limit of one process is in the way; each tells how much over a pipe.
    global held
    while held < AIM:
        ours, theirs = os.pipe()
        if os.fork() == 0:
            os.write(theirs, struct.pack('q', hold()))
            time.sleep(600)
        more = struct.unpack('q', os.read(ours, 8))[0]
        os.close(ours), os.close(theirs)
        if more <= 0: break
        held += more
"""

END = f"""
with open('/out/held', 'w') as file: file.write(str(held))
while held >= {LIMIT}: signal.pause()  # somebody has to end it
"""

WAYS = {
    "unix datagrams": """
try:
    while held < AIM:
        pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        for each in pair: each.setblocking(False)
        kept.append(pair)
        try:
            while True: held += 2 * pair[0].send(bytes(16384))
        except BlockingIOError: pass
except OSError as error: print(error)
""",
    "unix streams with larger buffers": """
try:
    while held < AIM:
        pair = socket.socketpair()
        for each in pair:
            each.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
            each.setblocking(False)
            try:
                while True: held += each.send(bytes(65536))
            except BlockingIOError: pass
        kept.append(pair)
except OSError as error: print(error)
""",
    "unix sockets in flight": """
carrier = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
carrier[0].setblocking(False)
try:
    while held < AIM:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        try:
            while True: held += ours.send(bytes(65536))
        except BlockingIOError: pass
        socket.send_fds(carrier[0], [b'x'], [ours.fileno(), theirs.fileno()])
        ours.close(), theirs.close()
except OSError as error: print(error)
""",
    "udp": """
try:
    while held < AIM:
        receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        receiver.bind(('127.0.0.1', 0))
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for _ in range(8): held += sender.sendto(bytes(32768), receiver.getsockname())
        sender.close()
        kept.append(receiver)
except OSError as error: print(error)
""",
    "tcp": """
server = socket.create_server(('127.0.0.1', 0))
try:
    while held < AIM:
        client = socket.create_connection(server.getsockname())
        kept += [client, server.accept()[0]]
        client.setblocking(False)
        try:
            for _ in range(200): held += client.send(bytes(65536))
        except BlockingIOError: pass
except OSError as error: print(error)
""",
    "pipes": """
def hold():
    total = 0
    try:
        while True:
            pair = os.pipe()
            kept.append(pair)
            try: size = fcntl.fcntl(pair[1], 1031, 1 << 20)
            except OSError: size = fcntl.fcntl(pair[1], 1032)
            os.set_blocking(pair[1], False)
            total += os.write(pair[1], bytes(size))
    except OSError: return total
fork_and_hold(hold)
""",
    "shared anonymous memory without its pages": """
try:
    while held < AIM:
        area = mmap.mmap(-1, 16 << 20)
        kept.append(area)
        for at in range(0, 16 << 20, 4096): area[at] = 1
        area.madvise(mmap.MADV_DONTNEED)
        held += 16 << 20
except OSError as error: print(error)
""",
    "shared mappings of /dev/zero": """
zero = os.open('/dev/zero', os.O_RDWR)
try:
    while held < AIM:
        area = mmap.mmap(zero, 16 << 20)
        kept.append(area)
        for at in range(0, 16 << 20, 4096): area[at] = 1
        area.madvise(mmap.MADV_DONTNEED)
        held += 16 << 20
except OSError as error: print(error)
""",
    "huge pages": """
while held < AIM:
    at = libc.mmap(None, 2 << 20, 3, 0x40022, -1, 0)
    if at in (None, ctypes.c_void_p(-1).value): break
    ctypes.memset(at, 1, 2 << 20)
    held += 2 << 20
""",
    "page tables": """
def hold():
    area = libc.mmap(None, 30 << 30, 1, 0x4022, -1, 0)
    libc.madvise(ctypes.c_void_p(area), ctypes.c_size_t(30 << 30), 15)  # no huge pages
    for at in range(0, 30 << 30, 2 << 20): ctypes.c_char.from_address(area + at).value
    return (30 << 30) // (2 << 20) * 4096
fork_and_hold(hold)
""",
    "mappings": """
def hold():
    count = 0
    area = libc.mmap(None, 140_000 * 4096, 0, 0x4022, -1, 0)
    for page in range(0, 130_000, 2):
        if libc.mprotect(ctypes.c_void_p(area + page * 4096), ctypes.c_size_t(4096), 1): break
        count += 2
    return count * 200
fork_and_hold(hold)
""",
    "epoll watches": """
def hold():
    # one instance less for each descriptor more: half of each is the most there can be
    events = []
    try:
        while len(events) < hard // 2 - 8: events.append(os.eventfd(0))
        total = 0
        while True:
            poll = select.epoll()
            kept.append(poll)
            for each in events: poll.register(each)
            total += len(events) * 200
    except OSError: return total
fork_and_hold(hold)
""",
    "locks on parts of files": """
def hold():
    total = 0
    for number in range(100):
        file = os.open(f'/build/{os.getpid()}-{number}', os.O_CREAT | os.O_RDWR)
        kept.append(file)
        for at in range(0, 2000, 2): fcntl.lockf(file, fcntl.LOCK_EX, 1, at)
        total += 1000 * 200
    return total
fork_and_hold(hold)
""",
    "access lists": """
entries = [struct.pack('HHI', tag, 7, 0xffffffff) for tag in (1, 4, 16, 32)]
users = [struct.pack('HHI', 2, 7, number) for number in range(8000)]
acl = struct.pack('I', 2) + entries[0] + b''.join(users) + b''.join(entries[1:])
try:
    for number in range(AIM // 65536):
        open(f'/build/{number}', 'w').close()
        os.setxattr(f'/build/{number}', 'system.posix_acl_access', acl)
        held += 65536
except OSError as error: print(error)
""",
    "many empty files with long names": """
while held < AIM:
    open('/build/' + str(held).rjust(200, 'x'), 'w').close()
    held += 1200
""",
    "inotify": """
for _ in range(64):
    if libc.inotify_init() < 0: break
    held += 8 << 20
""",
    "message queues": """
text = struct.pack('q', 1) + bytes(8192)
while held < AIM:
    queue = libc.msgget(0, 0o1600)
    if queue < 0: break
    while libc.msgsnd(queue, text, 8192, 0o4000) == 0: held += 8192
""",
    "posix message queues": """
class Attributes(ctypes.Structure):
    _fields_ = [(name, ctypes.c_long) for name in ('flags', 'maxmsg', 'msgsize', 'curmsgs', 'a', 'b', 'c', 'd')]
for number in range(10000):
    queue = libc.mq_open(f'/q{number}'.encode(), os.O_CREAT | os.O_RDWR, 0o600, ctypes.byref(Attributes(0, 10, 8192)))
    if queue < 0: break
    held += 10 * 8192
""",
    "semaphores": """
while held < AIM:
    if libc.semget(0, 32000, 0o1600) < 0: break
    held += 32000 * 64
""",
    "keys": """
for number in range(100000):
    if libc.syscall(CALLS['add_key'], b'user', f'k{number}'.encode(), bytes(20000), 20000, -2) < 0: break
    held += 20000
""",
    "unseen files": """
for number in range(100):
    descriptor = libc.syscall(CALLS['memfd_create'], b'm', 0)
    if descriptor < 0: break
    held += os.write(descriptor, bytes(8 << 20))
""",
    "pages given to pipes": """
class Piece(ctypes.Structure): _fields_ = [('at', ctypes.c_void_p), ('size', ctypes.c_size_t)]
while held < AIM:
    area, pair = libc.mmap(None, 65536, 3, 0x22, -1, 0), os.pipe()
    ctypes.memset(area, 1, 65536)
    if libc.vmsplice(pair[1], ctypes.byref(Piece(area, 65536)), 1, 0) < 0: break
    libc.munmap(ctypes.c_void_p(area), 65536)
    held += 65536
""",
    "pseudo terminals": """
def hold():
    total = 0
    try:
        while True:
            ours, theirs = os.openpty()
            kept.append((ours, theirs))
            os.set_blocking(theirs, False)
            try:
                for _ in range(40): total += os.write(theirs, bytes(16384))
            except BlockingIOError: pass
    except OSError: return total
fork_and_hold(hold)
""",
}

CALLS = {"x86_64": {"add_key": 248, "memfd_create": 319}, "aarch64": {"add_key": 217, "memfd_create": 279}}


@pytest.fixture(scope="module")
def room(environments: EnvironmentStore, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    """The sandbox on the host's kernel: in the other kind, the guest's kernel has but the memory it was given."""
    with real_room("bubblewrap", environments, tmp_path_factory.mktemp("scratch")) as room:
        yield room


@pytest.mark.parametrize("way", WAYS)
def test_memory_that_is_no_process_s_own(room: Room, way: str) -> None:
    """The limit ends the run, or the kernel gives less than the limit."""
    limits = Limits(memory_bytes=LIMIT, disk_bytes=LIMIT, wall_seconds=600, cpu_seconds=600)
    calls = f"CALLS = {CALLS[platform.machine()]!r}\n"
    run = room.python(BEGIN + calls + WAYS[way] + END, limits=limits)
    if run.outcome is Outcome.COMPLETED:
        held = int(room.blobs.read(run.outputs[0].sha256))
        assert held < LIMIT, f"{held >> 20} MiB were held"
    else:
        assert (Outcome.TIMED_OUT, True) == (run.outcome, run.limit in {Limit.MEMORY, Limit.DISK}), room.log(run)[-500:]


HONEST = {
    "pool": """
import multiprocessing
with multiprocessing.Pool(4) as pool: print(sum(pool.map(abs, range(1000))))
""",
    "lock and value": """
import multiprocessing
lock, value = multiprocessing.Lock(), multiprocessing.Value('i', 7)
with lock: print(value.value)
""",
    "shared memory": """
from multiprocessing import shared_memory
block = shared_memory.SharedMemory(create=True, size=8 << 20)
block.buf[5] = 9
block.close()
block.unlink()
""",
    "loopback": """
import socket
server = socket.create_server(('127.0.0.1', 0))
client = socket.create_connection(server.getsockname())
other = server.accept()[0]
client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
client.sendall(b'x' * 100000)
assert len(other.recv(100000, socket.MSG_WAITALL)) == 100000
""",
    "subprocesses": """
import asyncio
async def main():
    started = await asyncio.gather(*(asyncio.create_subprocess_exec('true') for _ in range(20)))
    assert [await each.wait() for each in started] == [0] * 20
asyncio.run(main())
""",
    "executor": """
import concurrent.futures
with concurrent.futures.ProcessPoolExecutor(3) as pool: assert list(pool.map(len, ['a'] * 9)) == [1] * 9
""",
    "copies": """
import shutil
open('/build/a', 'w').write('x')
shutil.copy2('/build/a', '/build/b')
shutil.copytree('/usr/lib/python3', '/build/t', symlinks=True)
""",
    "tools": """
import subprocess
for line in ('cp -a /etc/alternatives /build/e',
             'tar -C /build -cf /build/t.tar e', 'dd if=/dev/zero of=/build/z count=9',
             'install -m 755 /etc/passwd /build/p', 'head -c 9 /dev/zero | cmp - /dev/zero || test $? = 1'):
    subprocess.run(line, shell=True, check=True)
""",
}


@pytest.mark.parametrize("what", HONEST)
def test_what_builds_use_still_works(room: Room, what: str) -> None:
    """Workers, locks, shared memory, loopback and copies, with the limits every build has."""
    run = room.python(HONEST[what])
    assert run.outcome is Outcome.COMPLETED, room.log(run)
