#!/bin/sh
# macOS's ifconfig(8) as far as vipd speaks it, acting on a Linux network by ip(8): same arguments, same messages.
# Shell, because the real tool starts in a millisecond and vipd gives it two seconds.

usage() {
  echo "usage: ifconfig interface address_family address [netmask mask | prefixlen n] [alias | -alias]" >&2
  exit 1
}

[ $# -ge 1 ] || usage
interface=$1
if ! ip link show dev "$interface" >/dev/null 2>&1; then
  echo "ifconfig: interface $interface does not exist" >&2
  exit 1
fi
if [ $# -eq 1 ]; then
  echo "$interface: flags=8863<UP,BROADCAST,RUNNING,SIMPLEX,MULTICAST> mtu 1500"
  ip -o link show dev "$interface" | sed 's/.*link\/ether \([0-9a-f:]*\).*/\tether \1/'
  exit 0
fi
shift

case "$*" in
  "inet "*" netmask 255.255.255.255 alias")
    # Putting up an alias twice is no error on Darwin.
    exec ip address replace "$2/32" dev "$interface" ;;
  "inet6 "*" prefixlen 128 alias")
    exec ip address replace "$2/128" dev "$interface" nodad ;;
  "inet $2 -alias") address="$2/32" ;;
  "inet6 $2 -alias") address="$2/128" ;;
  *) usage ;;
esac
if ! ip address del "$address" dev "$interface" 2>/dev/null; then
  echo "ifconfig: ioctl (SIOCDIFADDR): Can't assign requested address" >&2
  exit 1
fi
