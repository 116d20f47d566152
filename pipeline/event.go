package pipeline

import (
	"stockade/firewall"
	"stockade/jails/state"
)

// Event is a ban that began, changed or ended, in the kernel and on disk.
type Event struct {
	Ban      *state.Ban // immutable
	Lifted   bool       // it holds no more
	Ended    bool       // because its time is over; not by hand
	Enforced bool       // the backend enforces; false under observe
	User     string     // of an alert: failures of this user reached a threshold, and nobody is banned
}

// tell hands an event to whoever asked for events, once the disk has it too.
func (e *enforcer) tell(b *state.Ban, lifted bool) {
	e.acks.tell(Event{Ban: b, Lifted: lifted, Enforced: e.fw.Name() != firewall.BackendObserve})
}

// Ended tells of a ban whose time is over. It never waits and may be called concurrently, also before
// Run: it is meant for state.Options.Ended.
func (p *Pipeline) Ended(b *state.Ban) {
	p.enforcer.acks.tell(Event{Ban: b, Lifted: true, Ended: true, Enforced: p.enforcer.fw.Name() != firewall.BackendObserve})
}
