package attacker

import (
	"fmt"
	"slices"
)

// demand is the origin that a jail asks for.
type demand struct {
	uids     []uint32
	program  bool // it names a unit or a program, too
	explicit bool // the jail says so; else it is the filter's default, where the origin is known
}

func demandOf(j Jail) demand {
	if o := j.Policy.Origin; o != nil {
		return demand{uids: o.UIDs, program: o.Unit != "" || o.Exe != "", explicit: len(o.UIDs) > 0 || o.Unit != "" || o.Exe != ""}
	}
	return demand{uids: j.Filter.Origin().UID}
}

// named reports whether the writer of each line is known.
func (v *view) named() bool {
	return v.feed == feedJournal || v.feed == feedNetwork && v.s.Vouches
}

// user says what a plain user of the sending host can do with lines of his own.
func (v *view) user(d demand) Reach {
	switch {
	case v.feed == feedUnix:
		return v.localUser(d)
	case v.named():
		return userNamed(d)
	case d.explicit:
		return Reach{Victims: Nobody, Why: "the jail demands an origin, and nobody vouches for one"}
	case v.feed == feedFile:
		return Reach{Victims: Anybody, Why: "whoever can get a line into the file is believed"}
	}
	return Reach{Victims: Anybody, Why: "logger writes what it is told, and the source does not say who wrote a line (vouches)"}
}

// localUser judges a unix socket: the kernel names its peers, and a carrier such as rsyslogd
// writes for everybody.
func (v *view) localUser(d demand) Reach {
	if len(d.uids) == 0 && !d.program {
		if len(v.s.UID) == 0 {
			return Reach{Victims: Anybody, Why: "the jail does not ask who wrote a line"}
		}
		return Reach{Victims: Anybody, Why: "the jail does not ask who wrote a line: logger reaches it through rsyslogd"}
	}
	if len(v.s.UID) == 0 {
		return userNamed(d)
	}
	both := d
	both.uids = slices.DeleteFunc(slices.Clone(d.uids), func(uid uint32) bool { return !slices.Contains(v.s.UID, uid) })
	if len(d.uids) == 0 {
		both.uids = v.s.UID
	}
	if len(both.uids) == 0 {
		return Reach{Victims: Nobody, Why: "no user of the source is one that the jail believes"}
	}
	return userNamed(both)
}

// userNamed judges lines whose writer is known.
func userNamed(d demand) Reach {
	if d.program {
		return Reach{Victims: Nobody, Why: "the jail demands a unit or a program, and the writer is known"}
	}
	if len(d.uids) == 0 {
		return Reach{Victims: Anybody, Why: "the jail does not ask who wrote a line"}
	}
	if i := slices.IndexFunc(d.uids, func(uid uint32) bool { return uid != 0 }); i >= 0 {
		return Reach{Victims: Anybody, Why: fmt.Sprintf("the jail believes uid %d", d.uids[i])}
	}
	return Reach{Victims: Nobody, Why: "the jail believes root alone, and the writer is known"}
}
