package control

import (
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// Explain is the answer to `explain ADDR`. The server sets Verdict.
type Explain struct {
	Address  string         `json:"address"` // as asked, in canonical form
	Banned   bool           `json:"banned"`
	Bans     List[Ban]      `json:"bans"`
	Windows  List[Window]   `json:"windows"`
	Evidence List[Evidence] `json:"evidence"`  // of bans and windows, newest last
	NeverBan Text           `json:"never_ban"` // the entry that protects it, or null

	Verdict   string        `json:"verdict"`   // the answer in one sentence
	Ignored   List[Ignored] `json:"ignored"`   // the jails that ignore it
	Kernel    List[Element] `json:"kernel"`    // what the kernel holds and counted, an item for each element
	Witnessed *bool         `json:"witnessed"` // whether the kernel saw it complete a TCP handshake within the hour; nil: nobody can tell
	Earlier   List[Earlier] `json:"earlier"`   // bans that ended
	Refused   List[Refused] `json:"refused"`   // refused lines that name it, as far as they are kept
	Foreign   List[Foreign] `json:"foreign"`   // rules of other tables that stop its packets
	Waiting   List[Waiting] `json:"waiting"`   // bans that wait for the quota of their source
	Notes     List[string]  `json:"notes"`     // what could not be asked, and what bypasses us
}

// Window is the recent failures of an address in one jail, and how far it is from a ban.
type Window struct {
	Jail     string       `json:"jail"`
	Address  netip.Prefix `json:"address"`
	Failures int64        `json:"failures"`
	MaxRetry int64        `json:"maxretry"`
	FindTime Seconds      `json:"findtime"`
	First    time.Time    `json:"first"`
	Last     time.Time    `json:"last"`
	Left     int64        `json:"left"`  // failures that are missing to a ban
	Until    *time.Time   `json:"until"` // when the oldest failure no longer counts
}

// Evidence is one line that counted against an address.
type Evidence struct {
	Jail     string    `json:"jail"`
	Time     time.Time `json:"time"`
	Received time.Time `json:"received"`
	Source   string    `json:"source"`
	Trust    string    `json:"trust"`
	Origin   Text      `json:"origin"`
	User     Text      `json:"user"`
	Raw      string    `json:"raw"`     // hostile: escape before showing
	Pattern  int       `json:"pattern"` // from 0
	Name     Text      `json:"name"`    // the pattern's name in its native filter; null: it has none
	Expr     Text      `json:"expr"`    // the pattern as it is written now, null when the jail is gone
	Filter   Text      `json:"filter"`  // of the jail now, as Jail.Filter; null when the jail is gone
}

// Ignored is a jail that never counts the address.
type Ignored struct {
	Jail  string `json:"jail"`
	Entry string `json:"entry"` // the key that says so, and its entry as it is written: "ignoreip: 192.0.2.0/24"
}

// Element is one element of our sets: a prefix on some ports.
type Element struct {
	Address netip.Prefix `json:"address"`
	Ports   List[string] `json:"ports"`   // empty: everything
	Present bool         `json:"present"` // in the kernel now
	Packets int64        `json:"packets"` // stopped since the element was last set
	Bytes   int64        `json:"bytes"`
}

// Waiting is a ban that begins when the quota of its source allows it.
type Waiting struct {
	Address  netip.Prefix `json:"address"`
	Jail     string       `json:"jail"`
	Source   string       `json:"source"`
	Since    time.Time    `json:"since"` // when its last failure asked for it
	Failures int64        `json:"failures"`
}

// Earlier is what is remembered of bans that ended. Evidence is of the latest one and kept 7 days.
type Earlier struct {
	Jail     string         `json:"jail"`
	Address  netip.Prefix   `json:"address"`
	Count    int64          `json:"count"` // bans so far, one that holds now included
	Last     time.Time      `json:"last"`  // start of the latest one
	Evidence List[Evidence] `json:"evidence"`
}

// Refused is the newest refused line that names the address. Of each source or listener and reason the
// last 32 lines are kept, so earlier ones may have named it too.
type Refused struct {
	Source   Text      `json:"source"`   // null when the peer resolved to none
	Listener Text      `json:"listener"` // null when the source is known
	Reason   string    `json:"reason"`
	Count    int64     `json:"count"` // refusals for that reason, whatever they named
	Last     time.Time `json:"last"`
	Sample   string    `json:"sample"` // at most 256 bytes of the line; hostile: escape before showing
	Remedy   Text      `json:"remedy"` // what would make such lines count
}

// Foreign is a rule of another program's table that stops packets of the address.
type Foreign struct {
	Table       string `json:"table"` // family and name
	Chain       string `json:"chain"`
	Handle      int64  `json:"handle"`      // of the rule, for nft -a
	Verdict     string `json:"verdict"`     // drop or reject
	Match       string `json:"match"`       // what selects the address: a prefix, or a set by name
	Conditional bool   `json:"conditional"` // the rule asks for more than the address, such as a port
}

// verdict sums the answer up in one sentence, the most telling fact first.
func (e *Explain) verdict() string {
	switch {
	case len(e.Bans) > 0:
		return e.banVerdict()
	case e.NeverBan != "":
		return fmt.Sprintf("not banned and never will be: %s protects it%s", e.NeverBan, e.foreignVerdict())
	case len(e.Foreign) > 0:
		return "not banned by us" + e.foreignVerdict()
	case len(e.Waiting) > 0:
		w := e.Waiting[0]
		return fmt.Sprintf("not banned yet: the ban in jail %s waits for the quota of source %s; `stockade approve --source %s` begins it", w.Jail, w.Source, w.Source)
	case len(e.Windows) > 0:
		w := e.Windows[0]
		for _, x := range e.Windows[1:] {
			if x.Left < w.Left {
				w = x
			}
		}
		if w.Left <= 0 {
			return fmt.Sprintf("not banned: jail %s counts %d failures, enough for a ban, and the ban waits: for the quota of its source, or for sources that agree", w.Jail, w.Failures)
		}
		return fmt.Sprintf("not banned: jail %s counts %d of %d failures; %d more by %s ban it",
			w.Jail, w.Failures, w.MaxRetry, w.Left, clock(w.Until))
	case len(e.Ignored) > 0:
		return fmt.Sprintf("not banned: jail %s ignores it (%s)", e.Ignored[0].Jail, e.Ignored[0].Entry)
	case len(e.Refused) > 0:
		r := e.Refused[0]
		return fmt.Sprintf("not banned: the last line of %s that was refused named it; reason %s, refused %d times",
			r.from(), r.Reason, r.Count)
	case len(e.Earlier) > 0:
		x := e.Earlier[0]
		return fmt.Sprintf("not banned now: the last ban, number %d in jail %s, began %s and has ended", x.Count, x.Jail, stamp(x.Last))
	}
	return "not banned: nothing is known of it, no failure counts against it now"
}

func (e *Explain) banVerdict() string {
	b := e.Bans[0]
	for _, x := range e.Bans[1:] {
		if b.End != nil && (x.End == nil || x.End.After(*b.End)) {
			b = x
		}
	}
	end := "for ever"
	if b.End != nil {
		end = "until " + stamp(*b.End)
	}
	text := fmt.Sprintf("banned in jail %s %s", b.Jail, end)
	if len(e.Bans) > 1 {
		text += fmt.Sprintf(" (%d bans hold it)", len(e.Bans))
	}
	var packets int64
	missing := false
	for _, k := range e.Kernel {
		packets += k.Packets
		missing = missing || !k.Present
	}
	switch {
	case missing:
		text += "; the kernel does not hold the ban now"
	case !b.Enforced:
		text += "; recorded, not enforced"
	case len(e.Kernel) > 0:
		text += fmt.Sprintf("; the kernel stopped %d packets of it", packets)
	}
	return text
}

// foreignVerdict names the first foreign rule that stops the address.
func (e *Explain) foreignVerdict() string {
	if len(e.Foreign) == 0 {
		return ""
	}
	f := e.Foreign[0]
	more := ""
	if f.Conditional {
		more = " where the rule's other conditions hold"
	}
	return fmt.Sprintf("; another table stops it, not ours: table %s, chain %s (%s)%s", f.Table, f.Chain, f.Match, more)
}

func (r *Refused) from() string {
	if r.Source != "" {
		return "source " + string(r.Source)
	}
	return "listener " + string(r.Listener)
}

func stamp(t time.Time) string { return t.Format(time.RFC3339) }

func clock(t *time.Time) string {
	if t == nil {
		return "then"
	}
	return stamp(*t)
}

// Names reports whether a text names an address that p holds: as a word of its own, alone, with a
// port or in brackets.
func Names(text string, p netip.Prefix) bool {
	outside := func(r rune) bool { return !strings.ContainsRune("0123456789abcdefABCDEF.:", r) }
	for w := range strings.FieldsFuncSeq(text, outside) {
		for _, form := range [...]string{w, strings.TrimRight(w, ".:"), strings.Trim(w, ".:")} {
			a, err := netip.ParseAddr(form)
			if err != nil {
				ap, _ := netip.ParseAddrPort(form) // of what is neither, the zero value holds no address
				a = ap.Addr()
			}
			if p.Contains(a.Unmap()) {
				return true
			}
		}
	}
	return false
}
