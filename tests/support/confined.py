"""A command, confined as a unit of systemd says, without systemd: `python -m tests.support.confined UNIT FOLDER COMMAND...`

As root, it takes from the unit what a process can do to itself: no capabilities, everything read-only but FOLDER
(ProtectSystem=strict), the system calls (SystemCallFilter, also of RestrictNamespaces), the address families, LimitCORE and
NoNewPrivileges. It stays root's, without any right of root, because the tests' Python may be in root's folder. What needs systemd
is left out: control groups (MemoryMax, IPAddressDeny), users' namespaces, hidden processes.
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import socket
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from tests.support.unit_files import read_unit

CLONE_NEWNS = 0x00020000
PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 24, 38
LAST_CAPABILITY = 40
SCMP_ACT_ALLOW = 0x7FFF0000
SCMP_ACT_ERRNO = 0x00050000
SCMP_CMP_EQ = 4
OPENED_BY_KERNEL = ("/proc", "/sys", "/dev")
"""Pseudo file systems; ProtectKernelTunables and PrivateDevices are not simulated."""


class Comparison(ctypes.Structure):
    """libseccomp's scmp_arg_cmp: of an argument of a system call."""

    _fields_ = (("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64))


def main(unit: str, folder: str, *command: str) -> None:
    """Confine this process, then become the command."""
    (service,) = (values for name, values in read_unit(Path(unit)).items() if name == "Service")
    libc = ctypes.CDLL(None, use_errno=True)
    allowed = system_calls(service["SystemCallFilter"])
    filters = ctypes.CDLL("libseccomp.so.2")
    if libc.unshare(CLONE_NEWNS):
        raise OSError(ctypes.get_errno(), "unshare")
    only_writable(Path(folder))
    (core,) = map(int, service["LimitCORE"])
    resource.setrlimit(resource.RLIMIT_CORE, (core, core))
    for capability in range(LAST_CAPABILITY + 1):
        libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    (families,) = service["RestrictAddressFamilies"]
    restrict(filters, allowed, families.split())
    os.execvp(command[0], command)


def only_writable(folder: Path) -> None:
    """Make every other folder read-only, for this process and its children."""
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    subprocess.run(["mount", "--bind", folder, folder], check=True)
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()]
    for mount in mounts:
        if mount != str(folder) and not mount.startswith(OPENED_BY_KERNEL):
            subprocess.run(["mount", "-o", "remount,bind,ro", mount], check=True)


def system_calls(filters: Iterable[str]) -> set[str]:
    """Return the names that the lines of SystemCallFilter allow: the first allows, those with `~` take away."""
    allowed: set[str] = set()
    for line in filters:
        names = expand(line.removeprefix("~").split())
        allowed = allowed - names if line.startswith("~") else allowed | names
    return allowed


def expand(words: Iterable[str]) -> set[str]:
    """Return system calls for words that are some, or groups as @system-service."""
    names: set[str] = set()
    for word in words:
        if not word.startswith("@"):
            names.add(word)
            continue
        command = ["systemd-analyze", "syscall-filter", "--no-pager", word]
        listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\n")[1:]
        names |= expand(line.strip() for line in listed if line.strip() and not line.strip().startswith("#"))
    return names


def restrict(filters: ctypes.CDLL, allowed: set[str], families: list[str]) -> None:
    """Let every other system call and every other family of sockets fail with EPERM, as the units do."""
    filters.seccomp_init.restype = ctypes.c_void_p
    filters.seccomp_init.argtypes = [ctypes.c_uint32]
    add = filters.seccomp_rule_add_array
    add.argtypes = [ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint, ctypes.POINTER(Comparison)]
    filters.seccomp_load.argtypes = [ctypes.c_void_p]
    context = filters.seccomp_init(SCMP_ACT_ERRNO | errno.EPERM)
    number = {name: filters.seccomp_syscall_resolve_name(name.encode()) for name in allowed}
    # RestrictNamespaces: clone3 hides its flags from a filter, so that systemd has programs use clone.
    for name in allowed - {"socket", "unshare", "setns", "clone3"}:
        if number[name] >= 0:  # else not of this processor
            add(context, SCMP_ACT_ALLOW, number[name], 0, None)
    add(context, SCMP_ACT_ERRNO | errno.ENOSYS, filters.seccomp_syscall_resolve_name(b"clone3"), 0, None)
    for family in families:
        comparison = Comparison(0, SCMP_CMP_EQ, getattr(socket, family), 0)
        add(context, SCMP_ACT_ALLOW, number["socket"], 1, ctypes.byref(comparison))
    if filters.seccomp_load(context):
        raise OSError("the kernel takes no filter of system calls")


if __name__ == "__main__":
    main(*sys.argv[1:])
