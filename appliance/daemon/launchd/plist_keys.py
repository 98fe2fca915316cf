"""The keys that a job of ours may have, each with its shape.

Source: launchd.plist(5) of macOS 15. What opens sockets or Mach services for a job, loads it on demand by events, or belongs
to agents of logged-in people is left out on purpose: our daemons open their own sockets and always run.
"""

from __future__ import annotations

from typing import Final

from appliance.daemon.launchd.shapes import Either, Keys, ListOf, Plain, TableOf

_STRING: Final = Plain(str, "a string")
_BOOLEAN: Final = Plain(bool, "a boolean")
_COUNT: Final = Plain(int, "an integer", least=0)
_SECONDS: Final = Plain(int, "a number of seconds", least=1)
_STRINGS: Final = ListOf(_STRING)
_RESOURCES: Final = (
    "Core", "CPU", "Data", "FileSize", "MemoryLock", "NumberOfFiles", "NumberOfProcesses", "ResidentSetSize", "Stack",
)  # fmt: skip
_LIMITS: Final = Keys(dict.fromkeys(_RESOURCES, _COUNT))
_MOMENT: Final = Keys(dict.fromkeys(("Minute", "Hour", "Day", "Weekday", "Month"), _COUNT))

JOB: Final = Keys(
    {
        "Label": _STRING,
        "UserName": _STRING,
        "GroupName": _STRING,
        "InitGroups": _BOOLEAN,
        "Program": _STRING,
        "ProgramArguments": _STRINGS,
        "EnvironmentVariables": TableOf(_STRING),
        "WorkingDirectory": _STRING,
        "Umask": _COUNT,
        "RunAtLoad": _BOOLEAN,
        "KeepAlive": Either(
            (
                _BOOLEAN,
                Keys(
                    {
                        "SuccessfulExit": _BOOLEAN,
                        "Crashed": _BOOLEAN,
                        "NetworkState": _BOOLEAN,
                        "PathState": TableOf(_BOOLEAN),
                        "OtherJobEnabled": TableOf(_BOOLEAN),
                    }
                ),
            )
        ),
        "ThrottleInterval": _SECONDS,
        "ExitTimeOut": _SECONDS,  # 0 would be for ever
        "WatchPaths": _STRINGS,
        "StartInterval": _SECONDS,
        "StartCalendarInterval": Either((_MOMENT, ListOf(_MOMENT))),
        "StandardInPath": _STRING,
        "StandardOutPath": _STRING,
        "StandardErrorPath": _STRING,
        "SoftResourceLimits": _LIMITS,
        "HardResourceLimits": _LIMITS,
        "Nice": Plain(int, "an integer", least=-20),
        "ProcessType": Plain(str, "a string", choices=("Background", "Standard", "Adaptive", "Interactive")),
        "AbandonProcessGroup": _BOOLEAN,
        "LowPriorityIO": _BOOLEAN,
        "LowPriorityBackgroundIO": _BOOLEAN,
        "LegacyTimers": _BOOLEAN,
        "LaunchOnlyOnce": _BOOLEAN,
        "AssociatedBundleIdentifiers": Either((_STRING, _STRINGS)),
    }
)
