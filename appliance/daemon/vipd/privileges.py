"""Root with everything else dropped: on Linux two capabilities remain, and no program started from here gains another.

Chosen over ``setpriv`` so that the order is ours: the socket, its owner and the priority are set up first, then all is
given up for good (capabilities(7), prctl(2)). macOS knows no capabilities: there vipd stays plain root, and its protection
is that it is small, reads one short line at a time and checks who is asking.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import sys
from pathlib import Path
from typing import Final

CAP_NET_ADMIN: Final = 12
CAP_NET_RAW: Final = 13
KEPT: Final = frozenset({CAP_NET_ADMIN, CAP_NET_RAW})
"""To change addresses, and to send the announcements."""
PRIORITY: Final = -15
"""Models keep every core busy; a deadline must be met all the same."""
OPEN_FILES: Final = 128
_PR_CAPBSET_DROP: Final = 24
_PR_SET_NO_NEW_PRIVS: Final = 38
_PR_CAP_AMBIENT: Final = 47
_PR_CAP_AMBIENT_CLEAR_ALL: Final = 4
_CAPABILITY_VERSION_3: Final = 0x20080522


def become_urgent() -> None:
    """A better share of the processor, and the last one to be killed for memory. Does nothing for who is not root."""
    if os.geteuid() != 0:
        return
    os.setpriority(os.PRIO_PROCESS, 0, PRIORITY)
    if sys.platform == "linux":
        with contextlib.suppress(PermissionError):  # a container's root may lack CAP_SYS_RESOURCE
            Path("/proc/self/oom_score_adj").write_text("-900", encoding="ascii")


def drop_privileges() -> None:
    """Give up every privilege but ``KEPT``, for this process and all that it starts; nothing happens for who is not root.

    Raises:
        OSError: the kernel refused; vipd must not run then.
    """
    resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, OPEN_FILES))
    if os.geteuid() != 0:
        return
    os.setgroups([])
    if sys.platform == "linux":
        _drop_capabilities()


def _drop_capabilities() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text(encoding="ascii"))
    for capability in range(last + 1):
        if capability not in KEPT:
            _checked(libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0))
    _checked(libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0))
    _checked(libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    kept = sum(1 << capability for capability in KEPT)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    # Two 32-bit words each of effective, permitted, inheritable (capset(2)); ours all lie in the first.
    _checked(libc.capset(header, (ctypes.c_uint32 * 6)(kept, kept, 0, 0, 0, 0)))


def _checked(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"privileges could not be dropped: {os.strerror(number)}")
