package control

import (
	"fmt"
	"log/slog"
	"os"
	"os/user"
	"slices"
	"strconv"
)

// A role says what a caller may do. A higher role includes the lower ones.
type role uint8

const (
	roleNone role = iota
	roleRead
	roleChange
)

// caller is the process at the other end of a connection, as the kernel recorded it when the
// connection was made.
type caller struct {
	uid, gid uint32
	pid      int32
	groups   []uint32 // supplementary
}

// roles decides what callers may do. It is immutable.
type roles struct {
	own       uint32 // the daemon's own uid
	group     int64  // members may change; -1: none
	readGroup int64  // members may read; -1: none
}

// newRoles looks the groups up. A group that does not exist gives nobody anything: the socket
// stays with root, and one warning says so.
func newRoles(group, readGroup string, log *slog.Logger) roles {
	r := roles{own: uint32(os.Geteuid()), group: -1, readGroup: -1}
	for _, g := range []struct {
		name string
		gid  *int64
	}{{group, &r.group}, {readGroup, &r.readGroup}} {
		if g.name == "" {
			continue
		}
		gid, err := lookupGroup(g.name)
		if err != nil {
			log.Warn("control group is unknown: its members get no access", "group", g.name, "err", err)
			continue
		}
		*g.gid = gid
	}
	return r
}

func lookupGroup(name string) (int64, error) {
	id := name
	if g, err := user.LookupGroup(name); err == nil {
		id = g.Gid
	} else if _, numErr := strconv.ParseUint(name, 10, 32); numErr != nil {
		return -1, err
	}
	gid, err := strconv.ParseUint(id, 10, 32)
	if err != nil {
		return -1, fmt.Errorf("group %q: id %q is no number", name, id)
	}
	return int64(gid), nil
}

func (r roles) of(c caller) role {
	switch {
	case c.uid == 0 || c.uid == r.own || c.in(r.group):
		return roleChange
	case c.in(r.readGroup):
		return roleRead
	}
	return roleNone
}

func (c caller) in(group int64) bool {
	if group < 0 {
		return false
	}
	g := uint32(group)
	return c.gid == g || slices.Contains(c.groups, g)
}
