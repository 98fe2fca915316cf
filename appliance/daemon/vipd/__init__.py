"""The one root process of a node: it owns the virtual IP, and drops it when core's lease runs out (DESIGN §4).

Two processes share one deadline in memory. ``server`` answers core on a Unix socket and puts the address up; ``guard``
waits for nothing but that deadline and takes the address down when it has passed, whether core is dead, stopped or cut off,
and also when the server itself is stopped or killed. While nobody holds the address, both sweep it away wherever it
comes from. On Linux the kernel is a third net: it forgets the address by itself if both processes die at once.
"""
