// Package migrate holds tests of a move from fail2ban: the real one runs beside Stockade on the same files
// and the same host, and hands over.
package migrate
