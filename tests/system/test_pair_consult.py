"""``make run PAIR=1`` as a person sees it: the primary dies in the middle of the consult, the other node finishes it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.daemon.pair.namespaces import list_namespaces
from appliance.daemon.pair.own_network import plan_in_namespaces

pytestmark = [pytest.mark.system, pytest.mark.timeout(900), pytest.mark.xdist_group("pair")]


def test_the_consult_is_finished_by_the_other_node_and_the_outage_is_told(tmp_path: Path) -> None:
    home = tmp_path / "demo"
    argv = [sys.executable, "-m", "appliance.daemon", "demo", "--pair", "--stop-after", "--no-admin"]
    done = subprocess.run(
        [*argv, "--home", str(home), "--port-base", "0"],
        capture_output=True,
        text=True,
        env=os.environ | {"NO_COLOR": "1"},
        timeout=800,
        check=False,
    )
    told = done.stdout
    assert done.returncode == 0, told + done.stderr[-4000:]
    outage = re.search(r"OUTAGE  (\d+\.\d\d) s from the death of (\w)", told)
    leads = re.search(r"LEADS   (\w), epoch (\d+)", told)
    assert outage is not None
    assert leads is not None
    assert {outage[2], leads[1]} == {"a", "b"}, "one died, the other leads"
    assert int(leads[2]) >= 2
    assert re.search(r"SIGNED  note \S+, version \d+: signature valid", told)
    facts = re.search(r"facts     (\d+) of (\d+) right, (\d+) with the right source", told)
    assert facts is not None
    assert facts[1] == facts[2] == facts[3], "no chunk of the recording was lost or doubled"
    assert re.search(rf"paired +{leads[1]} leads, {outage[2]} follows", told), "and the dead one came back as standby"
    prefix = plan_in_namespaces(home, ("a", "b", "w")).namespaces if sys.platform == "linux" else "prontuario-"
    assert not [name for name in list_namespaces() if name.startswith(prefix)]
