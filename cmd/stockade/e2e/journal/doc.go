// Package journal holds end-to-end tests of the built binary with what a host without rsyslog has:
// systemd-journald, journalctl, and files that daemons write. It has tests only.
package journal
