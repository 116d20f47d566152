package journald

import (
	"time"

	"stockade/receiver"
	"stockade/receiver/decode"
)

// The reasons under which a source counts what its journal lost or what is not believed, beside
// those of package receiver.
const (
	ReasonSuppressed = "suppressed"      // messages that the sending journald dropped by its rate limit
	ReasonGap        = "rotated_away"    // records that were gone before they were read
	ReasonSeen       = "already_seen"    // records of an upload that was cut and sent again
	ReasonOversize   = "too_many_fields" // records with more than MaxFields fields
	ReasonOrigin     = "origin_ignored"  // records whose origin its source does not vouch for
)

const (
	suppressedID = "a596d6fe7bfa4994828e72309e95d61e" // MESSAGE_ID of "Suppressed N messages from UNIT"
	maxLoss      = 1 << 40
)

// mapper turns records into entries. It belongs to one goroutine and allocates nothing in steady
// state.
type mapper struct {
	name    string
	writers writers
	cuts    cuts
	entry   receiver.Entry
}

func newMapper(name string) mapper {
	return mapper{name: name, writers: make(writers), cuts: cuts{open: make(map[string]struct{})}}
}

// entry fills the mapper's entry from a record. believe says that the trusted fields are to be
// believed. The entry's bytes are those of the record.
func (m *mapper) fill(rec *Record, s *receiver.Source, p receiver.Peer, believe bool, now time.Time) *receiver.Entry {
	e := &m.entry
	*e = receiver.Entry{Received: now, Listener: m.name, Source: s, Peer: p}
	e.Message = decode.Message{
		Form: decode.Journal, Facility: small(rec.Get(Facility), 23), Severity: small(rec.Get(Priority), 7),
		Hostname: rec.Get(Hostname), App: rec.Get(Identifier), ProcID: rec.Get(PID), MsgID: nil,
		Text: rec.Get(Message), Repeat: 1, Malformed: rec.Conflict,
	}
	if len(e.App) == 0 {
		e.App = rec.Get(Comm)
	}
	if len(e.ProcID) == 0 {
		e.ProcID = rec.Get(SyslogPID)
	}
	if us, ok := number(rec.Get(Realtime)); ok {
		e.Stamp = time.UnixMicro(us).UTC()
	}
	e.Raw, e.Truncated = e.Text, rec.Truncated
	e.Continued = m.cuts.continued(rec)
	if believe {
		e.Origin = m.writers.origin(rec)
	}
	return e
}

// small reads a number up to most, -1 without one.
func small(b []byte, most int64) int8 {
	n, ok := number(b)
	if !ok || n > most {
		return -1
	}
	return int8(n) //nolint:gosec // at most 23
}

// loss returns how many messages a record says that journald dropped by its rate limit. Only
// journald itself writes records of transport driver.
func loss(rec *Record) int64 {
	if string(rec.Get(Transport)) != "driver" {
		return 0
	}
	if string(rec.Get(MessageID)) != suppressedID {
		return 0
	}
	n, ok := number(rec.Get(Dropped))
	if !ok { // systemd 252 has it in the text alone
		n = firstNumber(rec.Get(Message))
	}
	return min(n, maxLoss)
}

// firstNumber returns the first decimal number in a text, 0 without one.
func firstNumber(b []byte) int64 {
	from := 0
	for from < len(b) && (b[from] < '0' || b[from] > '9') {
		from++
	}
	to := from
	for to < len(b) && b[to] >= '0' && b[to] <= '9' {
		to++
	}
	n, _ := number(b[from:to])
	return n
}
