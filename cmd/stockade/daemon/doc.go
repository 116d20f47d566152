// Package daemon wires the parts together: it builds everything that a configuration names, starts
// it in order, swaps it at a reload and stops it so that nothing is lost.
//
// Start: store, firewall, pipeline (which makes the kernel hold the store's bans), control socket,
// listeners. Stop: the reverse, each stage at most five seconds. Bans stay in the kernel.
//
// A reload builds all that can fail beside what is running and then swaps; a bad configuration
// changes nothing. Degraded states are gathered here, from every part.
package daemon
