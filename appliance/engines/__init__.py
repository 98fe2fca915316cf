"""Models in child processes: ``EngineFleet`` holds the ``EngineSupervisor`` of each, a ``MemoryLedger`` their memory.

Nothing is imported here: a child imports this package before its model, and must start fast.
"""
