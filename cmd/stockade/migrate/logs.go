package migrate

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"regexp"
	"time"
)

// Seen is one thing that a log tells of an address.
type Seen struct {
	Time   time.Time
	Jail   string       // Stockade's name
	Prefix netip.Prefix // not valid for a name
	Text   string       // the address as the log has it
	Kind   SeenKind
	Source string // of a ban of ours
}

// SeenKind is what a log tells.
type SeenKind int

// The kinds.
const (
	SeenFound SeenKind = iota
	SeenBan
	SeenUnban
)

// Log is what one program's log tells, in its order.
type Log struct {
	Seen        []Seen
	First, Last time.Time // of all its lines, those that tell nothing of an address too
}

func (l *Log) at(t time.Time) {
	if l.First.IsZero() || t.Before(l.First) {
		l.First = t
	}
	if t.After(l.Last) {
		l.Last = t
	}
}

// maxLine bounds a line of a log, in bytes.
const maxLine = 1 << 20

// fail2banLine is a line of fail2ban's log, as it writes it to a file: time, module, level, jail, what.
var fail2banLine = regexp.MustCompile(`^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)[,.](\d{3}) +fail2ban\.\w+ *\[\d+\]: +[A-Z]+ +(?:\[([^\]]+)\] +(Found|Ban|Restore Ban|Unban) (\S+))?(.*)$`)

// foundTime is the time of the line that was found, behind the address.
var foundTime = regexp.MustCompile(`^ - (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)`)

// ReadFail2banLog reads fail2ban's log. Its times are of the zone. Lines of other forms are left out.
func ReadFail2banLog(r io.Reader, zone *time.Location) (*Log, error) {
	l := &Log{}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		m := fail2banLine.FindStringSubmatch(lines.Text())
		if m == nil {
			continue
		}
		at, err := time.ParseInLocation("2006-01-02 15:04:05.000", m[1]+"."+m[2], zone)
		if err != nil {
			continue
		}
		l.at(at)
		if m[3] == "" {
			continue
		}
		s := Seen{Time: at, Jail: Name(m[3]), Text: m[5]}
		s.Prefix, _ = prefix(m[5]) // a name has none
		switch m[4] {
		case "Found":
			s.Kind = SeenFound
			if f := foundTime.FindStringSubmatch(m[6]); f != nil {
				if t, err := time.ParseInLocation(time.DateTime, f[1], zone); err == nil {
					s.Time = t
				}
			}
		case "Unban":
			s.Kind = SeenUnban
		default:
			s.Kind = SeenBan
		}
		l.Seen = append(l.Seen, s)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read fail2ban's log: %w", err)
	}
	return l, nil
}

// ReadLog reads Stockade's own log in JSON, as `journalctl -u stockade -o cat` shows it. Other lines are
// left out.
func ReadLog(r io.Reader) (*Log, error) {
	l := &Log{}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		var e struct {
			Time                    time.Time
			Msg, Jail, Addr, Source string
		}
		if json.Unmarshal(lines.Bytes(), &e) != nil || e.Time.IsZero() {
			continue
		}
		l.at(e.Time)
		p, err := netip.ParsePrefix(e.Addr)
		if err != nil {
			continue
		}
		s := Seen{Time: e.Time, Jail: e.Jail, Prefix: p, Text: e.Addr, Source: e.Source}
		switch e.Msg {
		case "ban", "would ban": // the latter of a jail that only reports
			s.Kind = SeenBan
		case "unban":
			s.Kind = SeenUnban
		default:
			continue
		}
		l.Seen = append(l.Seen, s)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read stockade's log: %w", err)
	}
	return l, nil
}
