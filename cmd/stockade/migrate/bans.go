package migrate

import (
	"fmt"
	"net/netip"
	"time"

	"stockade/cmd/stockade/migrate/sqlite"
)

const (
	writerWait  = 10 * time.Second // how long fail2ban may be busy writing
	maxBans     = 1_000_000
	unknownTime = 600 // seconds: what fail2ban takes for a ban of a time that it does not know (-2)
)

// Ban is what fail2ban's database knows of an address in a jail: its latest ban, live or past.
type Ban struct {
	Jail   string // Stockade's name
	Prefix netip.Prefix
	Start  time.Time
	End    time.Time // zero: permanent
	Count  int64     // bans so far, this one included
}

// Live reports whether the ban holds at now.
func (b *Ban) Live(now time.Time) bool { return b.End.IsZero() || b.End.After(now) }

// Bans is what fail2ban's database holds.
type Bans struct {
	All     []Ban
	Skipped []Item // rows that no ban can be made of
}

// ReadBans reads the database of a fail2ban that may be running. Windows of failures are in no
// database and do not move.
func ReadBans(path string, now time.Time) (*Bans, error) {
	db, err := sqlite.Open(path, writerWait)
	if err != nil {
		return nil, err
	}
	defer func() { _ = db.Close() }()
	off, err := disabledJails(db)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	table, ok := db.Table("bips")
	if !ok {
		return nil, fmt.Errorf("read %s: it has no table bips: written by fail2ban before 0.11; start a newer one once", path)
	}
	r := &banReader{now: now, off: off, out: &Bans{}}
	for name, into := range map[string]*int{
		"ip": &r.ip, "jail": &r.jail, "timeofban": &r.start, "bantime": &r.length, "bancount": &r.count,
	} {
		if *into = table.Column(name); *into < 0 {
			return nil, fmt.Errorf("read %s: table bips has no column %s", path, name)
		}
	}
	if err := table.Rows(r.row); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return r.out, nil
}

// disabledJails are the jails that fail2ban does not run while it runs others: nobody is kept out by
// their bans. One that was stopped runs none, and its bans go on at its next start.
func disabledJails(db *sqlite.DB) (map[string]bool, error) {
	off := map[string]bool{}
	table, ok := db.Table("jails")
	if !ok {
		return off, nil
	}
	name, enabled := table.Column("name"), table.Column("enabled")
	if name < 0 || enabled < 0 {
		return off, nil
	}
	on := false
	err := table.Rows(func(row []sqlite.Value) bool {
		if len(row) > max(name, enabled) && row[enabled].Kind == sqlite.Integer && row[enabled].Int == 0 {
			off[row[name].Text()] = true
		} else {
			on = true
		}
		return true
	})
	if !on {
		clear(off)
	}
	return off, err
}

type banReader struct {
	now                            time.Time
	off                            map[string]bool
	out                            *Bans
	ip, jail, start, length, count int // columns
}

// row takes one row of bips. It never stops before the table's end, unless that has too many.
func (r *banReader) row(row []sqlite.Value) bool {
	at := func(column int) sqlite.Value {
		if column < len(row) {
			return row[column]
		}
		return sqlite.Value{}
	}
	jail, ip := at(r.jail).Text(), at(r.ip).Text()
	prefix, err := prefix(ip)
	if err != nil || jail == "" {
		r.out.Skipped = append(r.out.Skipped, Item{clip(ip) + " in jail " + clip(jail), "", "it is no address"})
		return true
	}
	length := at(r.length).Int
	if length == -2 {
		length = unknownTime
	}
	b := Ban{Jail: Name(jail), Prefix: prefix, Start: time.Unix(at(r.start).Int, 0), Count: max(at(r.count).Int, 1)}
	if length >= 0 {
		b.End = b.Start.Add(time.Duration(min(length, 50*365*86400)) * time.Second)
	}
	if r.off[jail] && b.Live(r.now) {
		b.End = r.now // of a jail that is off: only the offender is remembered
	}
	r.out.All = append(r.out.All, b)
	return len(r.out.All) < maxBans
}
