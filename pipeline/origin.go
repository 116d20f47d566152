package pipeline

import (
	"slices"
	"strconv"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"stockade/jails"
	"stockade/jails/filter"
	"stockade/receiver"
	"stockade/receiver/decode"
)

// originOf says who wrote the entry, as far as something trustworthy vouches for it: the kernel
// for a message on a unix socket, or the source where it is configured to. An origin that a source
// names without that right is ignored and counted.
func (f *Feed) originOf(e *receiver.Entry) receiver.Origin {
	if e.Form == decode.Journal || e.Form == decode.File {
		return e.Origin // the journal's own word, or what the owner of the file proves
	}
	o := f.writers.Origin(&e.Peer, e.Received)
	if o.Known || len(e.SD) == 0 {
		return o
	}
	uid, exe := decode.Origin(e.SD, f.scratch[:0])
	if uid == nil {
		return o
	}
	if !e.Source.Vouches {
		e.Source.Refused.Add(refusedVouch, e.Received, e.Raw)
		return o
	}
	n, err := strconv.ParseUint(string(uid), 10, 32)
	if err != nil || e.Malformed {
		return o
	}
	o = receiver.Origin{Known: true, UID: uint32(n)}
	if exe != nil {
		o.Exe = f.program(exe)
	}
	return o
}

// maxPrograms is how many programs' paths a feed keeps, so that a line allocates none.
const maxPrograms = 256

// program returns the path of a program as a string.
func (f *Feed) program(path []byte) string {
	if s, ok := f.programs[string(path)]; ok {
		return s
	}
	if len(f.programs) >= maxPrograms || f.programs == nil {
		f.programs = make(map[string]string)
	}
	s := string(path)
	f.programs[s] = s
	return s
}

// forged returns "" or the reason for which a line's writer is not one that the jail accepts. Each
// demand is met, not met, or unknown. An unknown program or unit passes for uid 0 alone, where a
// short-lived writer was gone before it could be looked at.
func forged(jail *jails.Jail, f *filter.Filter, it *item) (reason string) {
	want := jail.Origin
	if want == nil {
		uids := f.Origin().UID
		switch {
		case len(uids) == 0, !it.origin.Known && (it.file || it.level != receiver.LevelKernel):
			return "" // nobody knows who wrote it; a jail that must know says origin
		case !it.origin.Known:
			return refusedUnknown // a carrier on this host: anybody may have written it
		case !slices.Contains(uids, it.origin.UID):
			return refusedForged
		}
		return ""
	}
	if len(want.UIDs) > 0 {
		if !it.origin.Known {
			return refusedUnknown
		}
		if !slices.Contains(want.UIDs, it.origin.UID) {
			return refusedForged
		}
	}
	for _, part := range []struct{ want, have string }{{want.Unit, it.origin.Unit}, {want.Exe, it.origin.Exe}} {
		switch {
		case part.want == "":
		case part.have == "" && (!it.origin.Known || it.origin.UID != 0):
			return refusedUnknown
		case part.have == "":
		case part.have != part.want && !doublestar.MatchUnvalidated(part.want, part.have):
			return refusedForged
		}
	}
	return ""
}

// describeOrigin is a line's writer for reports; "" when nothing vouches for one.
func describeOrigin(o receiver.Origin) string {
	if !o.Known {
		return ""
	}
	var b strings.Builder
	b.WriteString("uid=")
	b.WriteString(strconv.FormatUint(uint64(o.UID), 10))
	if o.Exe != "" {
		b.WriteString(" exe=" + o.Exe)
	}
	if o.Unit != "" {
		b.WriteString(" unit=" + o.Unit)
	}
	return b.String()
}
