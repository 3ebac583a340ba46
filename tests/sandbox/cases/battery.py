# ruff: noqa: PTH123, SIM115 - runs inside a container, for its refusals alone
"""Run inside a container: tries what a sandbox must refuse, and prints what happened as one line of JSON."""

import ctypes
import json
import os
import socket

CAPABILITIES = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
HOSTS = [("169.254.169.254", 80), ("172.17.0.1", 22), ("172.17.0.1", 2375), ("8.8.8.8", 53), ("1.1.1.1", 443)]
UNWRITABLE = (
    "/etc/x",
    "/usr/bin/x",
    "/opt/forgehand/toolbox/serve.py",
    "/mirror/x",
    "/proc/sys/kernel/core_pattern",
    "/proc/sysrq-trigger",
)
ABSENT = ("/var/run/docker.sock", "/run/docker.sock", "/dev/mem", "/dev/kmsg")
CALLS = {  # x86-64 numbers
    "mount": 165,
    "unshare": 272,
    "bpf": 321,
    "keyctl": 250,
    "perf_event_open": 298,
    "userfaultfd": 323,
    "kexec_load": 246,
    "init_module": 175,
    "io_uring_setup": 425,
    "io_uring_enter": 426,
    "io_uring_register": 427,
}


def tries(action):
    try:
        action()
    except OSError:
        return "refused"
    return "allowed"


def connect(family, address):
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.settimeout(2)
        probe.connect(address)


def lines(path):
    with open(path) as file:
        return file.read().splitlines()


def main():
    status = dict(line.split(":", 1) for line in lines("/proc/self/status"))
    found = {
        "capabilities": sorted({status[name].strip().lstrip("0") for name in CAPABILITIES}),
        "no_new_privileges": status["NoNewPrivs"].strip(),
        "seccomp": status["Seccomp"].strip(),
        "uid": [os.getuid(), os.getgid(), os.getgroups()],
        "mounts": sorted({line.split()[1] for line in lines("/proc/mounts") if line.startswith("/dev/")}),
        "core": next(line.split()[4] for line in lines("/proc/self/limits") if line.startswith("Max core")),
        "loopback": tries(lambda: socket.create_server(("127.0.0.1", 0))),
        "tcp6": tries(lambda: connect(socket.AF_INET6, ("fd00:ec2::254", 80))),
        "udp": tries(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("8.8.8.8", 53))),
        "dns": tries(lambda: socket.getaddrinfo("example.com", 443)),
        "raw socket": tries(lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)),
        "packet socket": tries(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW)),
        "device": tries(lambda: os.mknod("/tmp/disk", 0o660 | 0o060000, os.makedev(8, 0))),
        "chroot": tries(lambda: os.chroot("/tmp")),
        "setuid": tries(lambda: os.setuid(0)),
    }
    found.update(
        {f"tcp {host}:{port}": tries(lambda a=(host, port): connect(socket.AF_INET, a)) for host, port in HOSTS}
    )
    found.update({f"write {path}": tries(lambda p=path: open(p, "w")) for path in UNWRITABLE})
    found.update({f"read {path}": tries(lambda p=path: open(p, "rb").read(1)) for path in ABSENT})
    library = ctypes.CDLL(None, use_errno=True)
    for name, number in CALLS.items():
        first = 0x10000000 if name == "unshare" else 8  # a new user namespace, which needs no right by itself
        answer = library.syscall(number, first, ctypes.create_string_buffer(256), 0, 0, 0)
        found[f"call {name}"] = "allowed" if answer >= 0 or ctypes.get_errno() != 1 else "refused"
    print(json.dumps(found))


main()
