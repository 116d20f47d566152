// Package journald reads the journals of systemd.
//
// There are three ways in. The forwarding socket (ForwardToSyslog) is an ordinary unixgram
// listener of package receiver on SocketPath; journald passes on the writer's own credentials.
// Input runs journalctl on the local journal. Upload is the listener of transport
// journal-upload, which systemd-journal-upload sends to. Feed says which of the local ways a host
// offers.
//
// # Who wrote a record
//
// Fields whose names begin with an underscore are set by journald from what the kernel told it;
// all others are the writer's own words. Of the local journal the trusted fields are believed
// (LevelKernel, Origin). Of an uploaded one they are the word of the host that sent it: they become
// an Origin only where the source vouches. A log carrier (rsyslogd, dockerd and the like) is
// never an origin: its records hold what others wrote.
//
// # Bounds
//
// Reader keeps only the fields that are used. It skips all others without holding them, and
// refuses records with too many fields or bytes. Nothing is allocated for a record in steady state.
//
// # Concurrency
//
// A Reader belongs to one goroutine. Input and Upload are tasks: Run is called once, all other
// methods may be called concurrently. Sinks are opened lossless: a full pipeline makes the sender
// wait.
package journald
