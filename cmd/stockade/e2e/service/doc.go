// Package service tests what stands around the daemon: the systemd unit and its watchdog, the stop
// under load, the Debian package. It has tests alone.
package service
