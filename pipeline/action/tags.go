package action

import (
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// What a tag holds.
const (
	made   = iota + 1 // made here: an address, a number, a time
	quoted            // what a line said
)

// dynamic are the tags that a ban fills, beside those of groups (F-USER and so on), which are quoted.
var dynamic = map[string]int{
	"ip": made, "fid": made, "family": made, "ip-rev": made, "ip-host": made, "failures": made, "time": made, "bantime": made,
	"bancount": made, "restored": made, "ipfailures": made, "ipjailfailures": made, "jail.banned": made, "jail.banned_total": made,
	"jail.found": made, "jail.found_total": made, "fq-hostname": made, "sh-hostname": made, "br": made, "sp": made,
	"matches": quoted, "ipmatches": quoted, "ipjailmatches": quoted, "raw-ticket": quoted,
}

// Ban is what an action is told of.
type Ban struct {
	Jail     string
	Prefix   netip.Prefix
	Start    time.Time
	End      time.Time // zero: permanent
	Count    int       // bans so far, this one included
	Failures int
	Matches  []string // lines that led to it, oldest first
	User     string   // of the last of them; may be anything
	Restored bool     // it was there before
}

const (
	maxMatches = 32 << 10 // bytes of all matches; an environment variable has at most 128 KiB
	forever    = -1
)

// values are the tags of one ban.
type values struct {
	ban  Ban
	host string // this host's name
	now  time.Time
}

// text is what a tag of this host's making holds. It has only letters, digits and . : - / _ and blanks.
func (v *values) text(tag string) string {
	b := &v.ban
	addr := b.Prefix.Addr()
	switch tag {
	case "ip", "fid", "ip-host":
		if !b.Prefix.IsValid() {
			return ""
		}
		if b.Prefix.IsSingleIP() || addr.Is6() && b.Prefix.Bits() == 64 {
			return addr.String()
		}
		return b.Prefix.String()
	case "family":
		switch {
		case !b.Prefix.IsValid():
			return ""
		case addr.Is6():
			return inet6
		}
		return inet4
	case "ip-rev":
		return reversed(addr)
	case "failures", "ipfailures", "ipjailfailures":
		return strconv.Itoa(b.Failures)
	case "time":
		at := b.Start
		if at.IsZero() {
			at = v.now
		}
		return strconv.FormatInt(at.Unix(), 10)
	case "bantime":
		if b.End.IsZero() {
			return strconv.Itoa(forever)
		}
		return strconv.FormatInt(int64(b.End.Sub(b.Start).Round(time.Second)/time.Second), 10)
	case "bancount":
		return strconv.Itoa(b.Count)
	case "restored":
		if b.Restored {
			return "1"
		}
		return "0"
	case "fq-hostname":
		return word(v.host)
	case "sh-hostname":
		short, _, _ := strings.Cut(v.host, ".")
		return word(short)
	case "br":
		return "\n"
	case "sp":
		return " "
	}
	return "0" // counts of a jail, which fail2ban keeps for its own reports
}

// said is what a tag holds that a line said. It is cut and has no control characters but line ends.
func (v *values) said(tag string) string {
	switch tag {
	case "matches", "ipmatches", "ipjailmatches":
		return clean(strings.Join(v.ban.Matches, "\n"))
	case "f-user":
		return clean(v.ban.User)
	}
	return "" // a group that is not kept
}

// clean takes out what a terminal or a mail program could act on: control characters, and a tilde that
// begins a line.
func clean(s string) string {
	s = strings.ToValidUTF8(s[:min(len(s), maxMatches)], "?")
	var b strings.Builder
	begin := true
	for _, r := range s {
		switch {
		case r == '~' && begin:
			b.WriteByte('-')
		case r == '\n' || r == '\t' || r >= ' ' && r != 0x7f && (r < 0x80 || r > 0x9f):
			b.WriteRune(r)
		default:
			b.WriteByte('?')
		}
		begin = r == '\n'
	}
	return b.String()
}

// scrub keeps letters, digits and a few marks that mean nothing to any interpreter.
func scrub(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', strings.ContainsRune(" ._:@,+", r):
			return r
		}
		return ' '
	}, s)
}

// word keeps what host names are made of.
func word(s string) string {
	return strings.Map(func(r rune) rune {
		if r|0x20 >= 'a' && r|0x20 <= 'z' || r >= '0' && r <= '9' || r == '.' || r == '-' {
			return r
		}
		return -1
	}, s)
}

// reversed is the address as a zone of reverse names has it, with a dot behind: 7.2.0.192.
func reversed(a netip.Addr) string {
	var b strings.Builder
	bytes := a.AsSlice()
	for i := len(bytes) - 1; i >= 0; i-- {
		if a.Is4() {
			b.WriteString(strconv.Itoa(int(bytes[i])) + ".")
			continue
		}
		const hex = "0123456789abcdef"
		b.WriteString(string(hex[bytes[i]&15]) + "." + string(hex[bytes[i]>>4]) + ".")
	}
	return b.String()
}
