"""What a container's or systemd's filter does: a system call is refused to a program."""

import sys

# Runs in the new process: a filter of four instructions (the number of the call; is it this one?
# refuse it; allow it) that also holds for the program which then takes its place.
_LAUNCHER = """
import ctypes, errno, os, struct, sys
number, argv = int(sys.argv[1]), sys.argv[2:]
LOAD, EQUAL, RETURN, ALLOW, REFUSE = 0x20, 0x15, 0x06, 0x7FFF0000, 0x00050000
code = b"".join(struct.pack("HBBI", *line) for line in [
    (LOAD, 0, 0, 0), (EQUAL, 0, 1, number), (RETURN, 0, 0, REFUSE | errno.EPERM),
    (RETURN, 0, 0, ALLOW)])
text = ctypes.create_string_buffer(code, len(code))
program = struct.pack("HxxxxxxP", 4, ctypes.addressof(text))
libc = ctypes.CDLL(None, use_errno=True)
NO_NEW_PRIVS, SECCOMP, FILTER = 38, 22, 2
filtered = libc.prctl(NO_NEW_PRIVS, 1, 0, 0, 0) == 0 and libc.prctl(SECCOMP, FILTER, program) == 0
assert filtered, os.strerror(ctypes.get_errno())
os.execv(argv[0], argv)
"""

IO_URING_SETUP = 425  # on every processor


def refused(number, argv):
    """The command that runs argv without this system call: it fails with EPERM."""
    return [sys.executable, "-c", _LAUNCHER, str(number), *map(str, argv)]
