// Package host finds out whom this host needs: the resolvers, time servers and VPN endpoints in
// use, those who are logged in, and the operator's lists with their files and DNS names. They
// must never be banned.
//
// Everything is read from files, of the kernel, of the services and of their configuration, and
// compared once a second, twice while a list has a file, by what costs least: the stamps of files
// and the numbers of processes and sockets; nothing is asked of the network but the DNS names that a
// list has. All reads are bounded: a file that is too long counts as far as it was read. What a peer
// could bring about by merely connecting protects nobody: a client of sshd counts when it has logged
// in, a peer of a VPN daemon when the daemon opened the connection.
package host
