"""Runs a command, and kills it before one of its changes to a folder: that change doesn't happen, and nothing after it.

Arguments: the folder; which change, from 1, or 0 for none; a file for the list of its changes, one a line; the command. It ends as the
command does, also by SIGKILL. It follows the command's threads by ptrace, so it needs Linux 5.3 or newer.
"""

import ctypes
import os
import signal
import struct
import sys

TRACEME, CONT_TO_SYSCALL, SET_OPTIONS, SYSCALL_INFO = 0, 24, 0x4200, 0x420E
# Stops for system calls are marked; threads, children and what they execute are followed; all of them die with this process.
OPTIONS = 0x1 | 0x2 | 0x4 | 0x8 | 0x10 | 0x100000
WAIT_FOR_THREADS = 0x40000000
ENTRY = 1
CREATE, TRUNCATE = 0o100, 0o1000
AT_CWD = -100

# By architecture and number: what the call does, and the numbers of its arguments: a descriptor (`fd`), or a folder's descriptor and
# a path (`at`), or a path (`path`), and for `open` its flags.
CALLS = {
    "x86_64": {
        1: ("write", "fd", 0), 18: ("write", "fd", 0), 20: ("write", "fd", 0), 77: ("truncate", "fd", 0),
        285: ("allocate", "fd", 0), 326: ("write", "fd", 2), 2: ("open", "path", 0, 1), 257: ("open", "at", 0, 1, 2),
        82: ("rename to", "path", 1), 264: ("rename to", "at", 2, 3), 316: ("rename to", "at", 2, 3),
        83: ("mkdir", "path", 0), 258: ("mkdir", "at", 0, 1), 84: ("rmdir", "path", 0), 87: ("unlink", "path", 0),
        263: ("unlink", "at", 0, 1), 86: ("link", "path", 1), 265: ("link", "at", 2, 3),
    },
    "aarch64": {
        64: ("write", "fd", 0), 66: ("write", "fd", 0), 68: ("write", "fd", 0), 46: ("truncate", "fd", 0),
        47: ("allocate", "fd", 0), 285: ("write", "fd", 2), 56: ("open", "at", 0, 1, 2), 38: ("rename to", "at", 2, 3),
        276: ("rename to", "at", 2, 3), 34: ("mkdir", "at", 0, 1), 35: ("unlink", "at", 0, 1), 37: ("link", "at", 2, 3),
    },
}

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
libc.ptrace.restype = ctypes.c_long


def ptrace(request, task, address=0, data=0):
    answer = libc.ptrace(request, task, address, data)
    if answer < 0:
        raise OSError(ctypes.get_errno(), f"ptrace {request:#x} of {task}")
    return answer


def text(task, address):
    """The text at an address of a task."""
    with open(f"/proc/{task}/mem", "rb", buffering=0) as memory:
        found = b""
        while b"\0" not in found:
            # Up to the end of the page: the next one may not be there.
            memory.seek(address + len(found))
            found += memory.read(4096 - (address + len(found)) % 4096)
        return found.split(b"\0", 1)[0].decode()


def place(task, descriptor):
    """What a descriptor of a task names."""
    descriptor = ctypes.c_int(descriptor).value
    return os.readlink(f"/proc/{task}/cwd" if descriptor == AT_CWD else f"/proc/{task}/fd/{descriptor}")


def change(task, calls):
    """What the system call that a task is about to make changes, and where; nothing for one that changes nothing."""
    info = ctypes.create_string_buffer(128)
    ptrace(SYSCALL_INFO, task, len(info), ctypes.addressof(info))
    number, *arguments = struct.unpack_from("<Q6Q", info, 24)
    if info.raw[0] != ENTRY or number not in calls:
        return None
    what, how, *which = calls[number]
    given = [arguments[argument] for argument in which]
    if what == "open" and not given.pop() & (CREATE | TRUNCATE):
        return None
    if how == "fd":
        return what, place(task, given[0])
    folder = place(task, given[0] if how == "at" else AT_CWD)
    return what, os.path.normpath(os.path.join(folder, text(task, given[-1])))


def main():
    folder, nth, listing, *command = sys.argv[1:]
    below, nth, calls = os.path.realpath(folder) + "/", int(nth), CALLS[os.uname().machine]
    process = os.fork()
    if process == 0:
        ptrace(TRACEME, 0)
        os.execv(command[0], command)
    os.waitpid(process, 0)
    ptrace(SET_OPTIONS, process, 0, OPTIONS)
    ptrace(CONT_TO_SYSCALL, process)
    known, seen, killed = {process}, [], False
    while True:
        task, status = os.waitpid(-1, WAIT_FOR_THREADS)
        if not os.WIFSTOPPED(status):
            if task == process:
                break
            continue
        deliver = 0
        try:
            if os.WSTOPSIG(status) == signal.SIGTRAP | 0x80:
                found = None if killed else change(task, calls)
                if found and (found[1] + "/").startswith(below):
                    seen.append(f"{found[0]} {os.path.relpath(found[1], below)}")
                    if len(seen) == nth:
                        killed = True
                        os.kill(process, signal.SIGKILL)
            elif status >> 16 == 0 and task in known:
                deliver = os.WSTOPSIG(status)
            # A new thread begins with a stop of its own.
            known.add(task)
            ptrace(CONT_TO_SYSCALL, task, 0, deliver)
        except (ProcessLookupError, FileNotFoundError):
            # It is gone, killed with the process: that it ended is still to be waited for.
            pass
    with open(listing, "w") as file:
        file.writelines(line + "\n" for line in seen)
    if os.WIFSIGNALED(status):
        os.kill(os.getpid(), os.WTERMSIG(status))
    sys.exit(os.WEXITSTATUS(status))


main()
