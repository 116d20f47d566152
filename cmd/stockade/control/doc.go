// Package control is how an administrator and a monitoring system talk to the running daemon:
// HTTP/1.1 with JSON over a unix socket, the client of it, and Prometheus metrics at /metrics.
//
// The package declares what it needs of the daemon as interfaces of one method (see Services)
// and knows nothing else of it. Who may do what follows from the credentials that the kernel
// keeps of the connection: SO_PEERCRED for the user, SO_PEERGROUPS for the supplementary groups.
// Root, the daemon's own user and members of the group may change things; members of the read
// group may look; everybody else gets 403.
//
// Over TCP, where that is configured, a client certificate is for looking and the token for
// everything, and requests that a web page of another origin or host name sent are refused.
//
// The wire types are the contract of the command line's --json output: fields may be added,
// documented ones are always there, lists are never null, empty texts are null, durations are
// whole seconds, times are RFC 3339 with their zone.
//
// All exported methods of Server and Client may be called concurrently.
package control
