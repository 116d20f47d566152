// Package firewall makes bans real.
//
// An Enforcer holds a set of elements: a prefix, the scope of ports it is banned on, and an end.
// What an element means in the kernel is the backend's affair (package firewall/nft); Observe
// only records. Every backend passes the suite of package firewall/firewalltest.
package firewall

import (
	"context"
	"net/netip"
	"time"
)

// Scope is the set of destination ports a ban covers, as the sender dialled them, in canonical
// form: "" for everything, else sorted terms like "22", "80/tcp", joined by commas. Use NewScope.
type Scope string

// Element is one banned prefix within one scope. Prefix and Scope together are its key.
type Element struct {
	Prefix  netip.Prefix // masked; a single address is a /32, or /64 for IPv6 offenders, or /128
	Scope   Scope
	End     time.Time // zero: permanent
	Comment string    // the jail that holds it longest; cut to MaxComment bytes
	Verdict Verdict
}

// Verdict is what happens to the packets of a banned prefix.
type Verdict uint8

// The verdicts.
const (
	Drop Verdict = iota
	Reject
)

// Change sets or removes one element.
type Change struct {
	Element
	Remove bool // Only Prefix and Scope are looked at
}

// Result says what became of one change. A change that a later one of the same call replaces has
// the later one's result.
type Result struct {
	Change
	Enforced bool  // read back from the kernel: present as asked, or gone as asked
	Err      error // why not, when not
}

// Counters are what the kernel counted for one element since it was added.
type Counters struct{ Packets, Bytes uint64 }

// Enforcer is a backend. Its methods are called by one goroutine at a time, but for Reconcile of a
// Reconciler, which may run beside them.
//
// Setting an element that exists changes its end, either way. Removing an absent one is no
// error. An element whose End is less than a second away is removed instead of set. Elements
// expire by themselves. Nothing is removed when the Enforcer is closed or the process dies.
type Enforcer interface {
	// Name is the backend's name in the configuration: "nftables" or "observe".
	Name() string
	// Apply makes the changes, later ones of the same key winning, and reads them back. The
	// error says that the kernel could not be reached or refused the batch; the results then say
	// what is known of each change. len(results) == len(changes), in the same order.
	Apply(ctx context.Context, changes []Change) ([]Result, error)
	// Elements calls yield for each element of ours that the kernel holds, until it returns false.
	Elements(ctx context.Context, yield func(Element, Counters) bool) error
	// Protect replaces the prefixes that are never dropped, whatever is banned.
	Protect(ctx context.Context, never []netip.Prefix) error
	// Close lets go of the kernel. What is enforced stays enforced.
	Close() error
}
