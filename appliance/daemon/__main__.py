"""``python -m appliance.daemon`` is the ``prontuario`` command (children are started this way, whatever PATH says)."""

from appliance.daemon.cli import main

if __name__ == "__main__":
    main()
