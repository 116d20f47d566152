#!/bin/sh
# Unpacks the daemons whose packages conflict with others that the tests use. Run apt-get update
# before. $1: the folder; the tests look in STOCKADE_TEST_ROOT.
set -eu
root=$1
[ ! -x "$root/usr/sbin/exim4" ] || exit 0
debs=$(mktemp -d)
trap 'rm -rf "$debs"' EXIT
cd "$debs"
apt-get download -qq -o APT::Sandbox::User=root vsftpd pure-ftpd pure-ftpd-common exim4-daemon-light exim4-base
mkdir -p "$root"
for deb in *.deb; do dpkg -x "$deb" "$root"; done
