#!/bin/sh
# Puts syslog-ng into a folder of its own. Its package conflicts with rsyslog's, and the tests need
# both: so it is unpacked, with those of its libraries that the system lacks, and not installed.
# $1: the folder, by default where the tests look. Run apt-get update before.
set -eu
root=${1:-/var/cache/stockade-test/syslog-ng}
[ ! -x "$root/usr/sbin/syslog-ng" ] || exit 0
debs=$(mktemp -d)
trap 'rm -rf "$debs"' EXIT
packages=$(apt-get install -s -qq --no-install-recommends syslog-ng-core | sed -n 's/^Inst \([^ ]*\).*/\1/p')
cd "$debs"
apt-get download -qq -o APT::Sandbox::User=root $packages
mkdir -p "$root"
for deb in *.deb; do dpkg -x "$deb" "$root"; done
