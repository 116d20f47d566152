// Package nft is the firewall.Enforcer for nftables.
//
// Open makes or takes over one table of family inet and works on nothing else; other tables are
// read only to say why a ban might not bite. The table keeps its elements when the Enforcer is
// closed and when the process dies, and Open keeps what it finds.
//
// An Enforcer has two netlink sockets of its own, a writer and a reader, both guarded by one mutex, so
// that the goroutine that watches for changes by others may repair while the daemon's calls Apply.
// The kernel works through a request within the system call that sends it: when the call returns,
// every answer is queued, and an empty queue is the end of the answers. So no read ever blocks.
//
// Elements travel in batches of one transaction each. After each transaction the elements are
// asked for again by their keys; what is reported as enforced was read in the kernel.
package nft
