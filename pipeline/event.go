package pipeline

import (
	"stockade/firewall"
	"stockade/jails/state"
)

// Event is a ban that began or changed, or was lifted by hand, in the kernel and on disk. Bans that
// end by themselves are none.
type Event struct {
	Ban      *state.Ban // immutable
	Lifted   bool
	Enforced bool   // the backend enforces; false under observe
	User     string // of an alert: failures of this user reached a threshold, and nobody is banned
}

// tell hands an event to whoever asked for events, once the disk has it too.
func (e *enforcer) tell(b *state.Ban, lifted bool) {
	e.acks.tell(Event{Ban: b, Lifted: lifted, Enforced: e.fw.Name() != firewall.BackendObserve})
}
