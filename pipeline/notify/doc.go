// Package notify tells people and systems of bans, unbans, quarantines, degraded states, silent
// sources and alerts: by webhook, by mail, in a file, by running a program.
//
// Post never waits. Each channel has a queue of its own in front of a goroutine of its own, so that a
// dead or slow one delays neither a ban nor another channel. Events over a channel's rate are gathered
// and sent as one digest; a full queue goes on counting them and only forgets their details. An exec
// channel runs its program once an event and drops, and counts, what its queue has no room for.
//
// What a line or a peer says is hostile here too. Every such value is cut and freed of control
// characters first, then escaped for where it goes; it is never part of a header, an address, a file
// name or a command line. Nothing is run through a shell.
//
// All exported methods may be called concurrently.
package notify
