"""Updates on a running machine: the hands, core's desk, and the synthetic consult."""
