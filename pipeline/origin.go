package pipeline

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"stockade/receiver"
	"stockade/receiver/decode"
)

// identify notes in the entry who wrote it, as far as something trustworthy vouches for it: the kernel
// for a message on a unix socket, or the source where it is configured to. An origin that a source
// names without that right is ignored and counted. Of a journal's entry it is the journal's own word,
// of a file's line what the owner of the file proves: they stay.
func (f *Feed) identify(e *receiver.Entry) {
	if e.Form == decode.Journal || e.Form == decode.File {
		return
	}
	e.Origin = receiver.Origin{}
	if e.Peer.Level == receiver.LevelKernel {
		e.Origin = f.writers.Origin(&e.Peer, e.Received)
	}
	if e.Origin.Known || len(e.SD) == 0 {
		return
	}
	uid, exe := decode.Origin(e.SD, f.scratch[:0])
	if uid == nil {
		return
	}
	if !e.Source.Vouches {
		e.Source.Refused.Add(refusedVouch, e.Received, e.Raw)
		return
	}
	n, ok := parseUID(uid)
	if !ok || e.Malformed {
		return
	}
	e.Origin.Known, e.Origin.UID = true, n
	if exe != nil {
		e.Origin.Exe = f.program(exe)
	}
}

// parseUID reads a uid: digits, and no more than fit.
func parseUID(text []byte) (uid uint32, ok bool) {
	var n uint64
	for _, c := range text {
		if n = 10*n + uint64(c-'0'); c-'0' > 9 || n > math.MaxUint32 {
			return 0, false
		}
	}
	return uint32(n), len(text) > 0
}

// maxPrograms is how many programs' paths a feed keeps, so that a line allocates none.
const maxPrograms = 256

// program returns the path of a program as a string. The last one is at hand: lines of one program
// come together.
func (f *Feed) program(path []byte) string {
	if string(path) == f.last {
		return f.last
	}
	s, known := f.programs[string(path)]
	if !known {
		if len(f.programs) >= maxPrograms || f.programs == nil {
			f.programs = make(map[string]string)
		}
		s = string(path)
		f.programs[s] = s
	}
	f.last = s
	return s
}

// forged returns "" or the reason for which a line's writer is not one that the jail accepts. Each
// demand is met, not met, or unknown. An unknown unit passes for uid 0 alone, where a short-lived writer
// was gone before it could be looked at. An unknown program never does: logger is such a writer, and who
// demands a program wants to keep out what root's scripts log.
func forged(bound *Bound, it *item, o *receiver.Origin) (reason string) {
	want := bound.Jail.Origin
	if want == nil {
		uids := bound.Filter.Origin().UID
		switch {
		case len(uids) == 0, !o.Known && (it.file || it.level != receiver.LevelKernel):
			return "" // nobody knows who wrote it; a jail that must know says origin
		case !o.Known:
			return refusedUnknown // a carrier on this host: anybody may have written it
		case !slices.Contains(uids, o.UID):
			return refusedForged
		}
		return ""
	}
	if len(want.UIDs) > 0 {
		if !o.Known {
			return refusedUnknown
		}
		if !slices.Contains(want.UIDs, o.UID) {
			return refusedForged
		}
	}
	switch {
	case bound.unit == nil, o.Unit == "" && o.Known && o.UID == 0:
	case o.Unit == "":
		return refusedUnknown
	case !bound.unit.match(o.Unit):
		return refusedForged
	}
	switch {
	case bound.exe == nil:
	case o.Exe != "":
		if !bound.exe.match(o.Exe) {
			return refusedForged
		}
	case o.Name == "" || o.UID != 0:
		return refusedUnknown
	case !bound.name.match(o.Name):
		return refusedForged
	}
	return ""
}

// describeOrigin is a line's writer for reports; "" when nothing vouches for one.
func describeOrigin(o *receiver.Origin) string {
	if !o.Known {
		return ""
	}
	var b strings.Builder
	b.WriteString("uid=")
	b.WriteString(strconv.FormatUint(uint64(o.UID), 10))
	if o.Exe != "" {
		b.WriteString(" exe=" + o.Exe)
	}
	if o.Name != "" {
		b.WriteString(" name=" + o.Name)
	}
	if o.Unit != "" {
		b.WriteString(" unit=" + o.Unit)
	}
	return b.String()
}
