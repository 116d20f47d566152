// Package e2e holds the end-to-end tests: the real binary, real senders (rsyslogd, sshd, logger),
// the real kernel's nftables in network namespaces that the tests make themselves, and packets.
//
// What a test believes comes from nft and from packets, not from Stockade's own status.
package e2e
