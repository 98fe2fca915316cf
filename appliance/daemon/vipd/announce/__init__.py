"""Tells the LAN that the address has moved: gratuitous ARP (IPv4) and unsolicited neighbour advertisements (IPv6)."""
