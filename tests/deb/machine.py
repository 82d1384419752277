"""A Debian of its own, with systemd running: a folder made by debootstrap, in namespaces of its
own. Root may have one.

Its network is its own loopback and nothing else, so its services take their usual ports; what it
needs from Debian is put into the folder beforehand.
"""

import os
import pathlib
import shutil
import signal
import subprocess
import time

_BOOT = """
set -e
root=$1
mount --make-rprivate /
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/tmp"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for device in null zero full random urandom tty; do
    touch "$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
mkdir "$root/dev/shm" "$root/dev/pts"
mount -t tmpfs tmpfs "$root/dev/shm"
ln -s /proc/self/fd "$root/dev/fd"
ln -s pts/ptmx "$root/dev/ptmx"
cd "$root"
pivot_root . mnt
umount -l /mnt
exec chroot . env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin /sbin/init
"""

_NAMESPACES = ["--pid", "--mount", "--uts", "--ipc", "--net", "--cgroup"]
_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8",
                "DEBIAN_FRONTEND": "noninteractive", "HOME": "/root"}


def prepare(folder, release, packages, relations):
    """Make the folder, once: a small Debian with these packages and what these relations ("libzmq5
    (>= 4.3)") ask for."""
    folder = pathlib.Path(folder)
    if folder.exists():
        return
    unfinished = folder.with_suffix(".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    subprocess.run(["debootstrap", "--variant=minbase", release, unfinished], check=True,
                   stdout=subprocess.DEVNULL)
    (unfinished / "usr/sbin/policy-rc.d").write_text("#!/bin/sh\nexit 101\n")
    (unfinished / "usr/sbin/policy-rc.d").chmod(0o755)
    for arguments in (["install", *packages], ["satisfy", *relations], ["clean"]):
        subprocess.run(["chroot", unfinished, "apt-get", "-q", "-y", "--no-install-recommends",
                        *arguments], check=True, stdout=subprocess.DEVNULL, env=_ENVIRONMENT)
    (unfinished / "usr/sbin/policy-rc.d").unlink()
    unfinished.rename(folder)


class Machine:
    """A copy of a prepared folder that runs until it is closed."""

    def __init__(self, base, folder):
        self.folder = pathlib.Path(folder)
        shutil.rmtree(self.folder, ignore_errors=True)
        subprocess.run(["cp", "-a", base, self.folder], check=True)
        # The kernel is the host's: there are no modules to load.
        (self.folder / "etc/systemd/system/systemd-modules-load.service").symlink_to("/dev/null")
        self._unshare = subprocess.Popen(["unshare", "--fork", "--kill-child=KILL", *_NAMESPACES,
                                          "sh", "-c", _BOOT, "-", self.folder],
                                         stdin=subprocess.DEVNULL, start_new_session=True)
        self._init = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def wait_running(self, timeout=60):
        """Until systemd has started everything."""
        deadline = time.monotonic() + timeout
        state = ""
        while state not in ("running", "degraded"):
            assert (time.monotonic() < deadline
                    and self._unshare.poll() is None), f"systemd does not come up: {state!r}"
            time.sleep(0.3)
            children = (pathlib.Path(f"/proc/{self._unshare.pid}/task/{self._unshare.pid}/children")
                        .read_text().split())
            if (children
                and pathlib.Path(f"/proc/{children[0]}/comm").read_text().strip() == "systemd"):
                self._init = children[0]
                state = self.ask("systemctl is-system-running", check=False).strip()
        assert state == "running", self.ask("systemctl --failed --no-pager", check=False)
        return self

    def _enter(self, command):
        return ["nsenter", "-t", self._init, "-m", "-p", "-u", "-i", "-n", "-C", "-r", "-w", "sh",
                "-c", command]

    def ask(self, command, check=True, timeout=120):
        """Run a shell command in it. What it wrote."""
        done = subprocess.run(self._enter(command), stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, env=_ENVIRONMENT, timeout=timeout, check=False)
        assert (
            not check or done.returncode == 0
        ), f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def wait(self, command, what, timeout=20):
        """Until a shell command succeeds."""
        self.ask(f"for i in $(seq {timeout * 5}); do ({command}) >/dev/null 2>&1 && exit; "
                 f"sleep 0.2; done; echo 'not: {what}' >&2; {command}")

    def copy_in(self, file, place):
        shutil.copy(file, self.folder / place.lstrip("/"))

    def close(self):
        """End everything in it, and remove its folder."""
        if self._unshare.poll() is None:
            os.kill(self._unshare.pid, signal.SIGKILL)
        self._unshare.wait()
        for _ in range(50):  # its last processes may need a moment
            shutil.rmtree(self.folder, ignore_errors=True)
            if not self.folder.exists():
                return
            time.sleep(0.1)
