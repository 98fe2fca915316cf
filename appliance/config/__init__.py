"""One typed model of ``prontuario.toml``: unknown or mistyped keys stop the start, with file, line and the nearest key."""

from appliance.config.load import ConfigError, load_config
from appliance.config.model import Config, Paths

__all__ = ["Config", "ConfigError", "Paths", "load_config"]
