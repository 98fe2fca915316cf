"""The chaos plugin's engine: the kit's echo engine at the pace of a language model, one piece a stream and step."""

from __future__ import annotations

import time

from appliance.plugin_api.messages import Failed, Output
from appliance.plugin_api.testing.echo_engine import EchoEngine

STEP_S = 0.04


class PacedEngine(EchoEngine):
    """25 steps a second, whatever the number of streams."""

    def step(self) -> list[Output | Failed]:
        time.sleep(STEP_S)
        return super().step()
