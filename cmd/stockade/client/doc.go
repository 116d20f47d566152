// Package client answers the command lines of fail2ban-client, so that scripts, monitoring plugins
// and habits go on working: it asks the daemon over its control socket and prints what fail2ban
// prints. What Stockade does otherwise is refused with one line that names the native way.
//
// Where fail2ban exits with 255 the exit codes are Stockade's own: 2 for a command that makes no
// sense or an unknown jail, 3 for a daemon that cannot be reached, 4 for one that refuses the user.
package client
