// Package senders holds end-to-end tests of the built binary with the programs that send it logs:
// rsyslogd with a queue, journald, openssl, curl, and what systemd passes to a service.
package senders
