// Package trust holds end-to-end tests of who is believed: real daemons, sockets and senders, and
// the numbers that RELIABILITY sets for authority.
package trust
