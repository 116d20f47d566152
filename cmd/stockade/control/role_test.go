package control

import (
	"log/slog"
	"math"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

func TestRoles(t *testing.T) {
	r := roles{own: 990, group: 50, readGroup: 60}
	closed := roles{own: 0, group: -1, readGroup: -1}
	tests := []struct {
		name  string
		roles roles
		who   caller
		want  role
	}{
		{"root", r, caller{uid: 0, gid: 0}, roleChange},
		{"the daemon's own user", r, caller{uid: 990, gid: 990}, roleChange},
		{"primary group", r, caller{uid: 1000, gid: 50}, roleChange},
		{"supplementary group", r, caller{uid: 1000, gid: 1000, groups: []uint32{4, 50}}, roleChange},
		{"read group", r, caller{uid: 1000, gid: 1000, groups: []uint32{60}}, roleRead},
		{"both groups", r, caller{uid: 1000, gid: 60, groups: []uint32{50}}, roleChange},
		{"a plain user", r, caller{uid: 1000, gid: 1000, groups: []uint32{4, 24}}, roleNone},
		{"root's group is not root", r, caller{uid: 1000, gid: 0}, roleNone},
		{"no group: a plain user", closed, caller{uid: 1000, gid: math.MaxUint32, groups: []uint32{math.MaxUint32}}, roleNone},
		{"no group: root", closed, caller{uid: 0}, roleChange},
	}
	for _, tt := range tests {
		if got := tt.roles.of(tt.who); got != tt.want {
			t.Errorf("%s: role %d, want %d", tt.name, got, tt.want)
		}
	}
}

func TestUnknownGroupGivesNobodyAnything(t *testing.T) {
	r := newRoles("no-such-group", "4294967296", slog.New(slog.DiscardHandler))
	if r.group != -1 || r.readGroup != -1 || int(r.own) != os.Geteuid() {
		t.Errorf("roles %+v", r)
	}
	if g := newRoles("0", "4294967295", slog.New(slog.DiscardHandler)); g.group != 0 || g.readGroup != math.MaxUint32 {
		t.Errorf("numbers: roles %+v", g)
	}
}

func TestCallerOf(t *testing.T) {
	dir, err := os.MkdirTemp("", "ctl")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, "s"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	c, err := net.DialUnix("unix", nil, l.Addr().(*net.UnixAddr))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	s, err := l.AcceptUnix()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	who, err := callerOf(s)
	if err != nil {
		t.Fatal(err)
	}
	if int(who.uid) != os.Geteuid() || int(who.gid) != os.Getegid() || int(who.pid) != os.Getpid() {
		t.Errorf("caller %+v", who)
	}
	groups, err := os.Getgroups()
	if err != nil {
		t.Fatal(err)
	}
	if len(groups) != len(who.groups) {
		t.Errorf("groups %v, want %v", who.groups, groups)
	}
}

func TestConnectionsOfOneUserAreBounded(t *testing.T) {
	l := &listener{roles: roles{own: 990, group: -1, readGroup: -1}, byUser: map[uint32]int{}}
	plain, root := caller{uid: 1000}, caller{}
	for range maxConnsPerUser {
		if !l.admit(plain) {
			t.Fatal("refused below the bound")
		}
	}
	if l.admit(plain) || !l.admit(caller{uid: 1001}) || !l.admit(root) {
		t.Error("the bound of one user does not hold, or holds for others")
	}
	l.leave(plain)
	if !l.admit(plain) {
		t.Error("a freed place is not given again")
	}
	for l.admit(root) {
	}
	if l.total != maxConns {
		t.Errorf("%d connections, want %d", l.total, maxConns)
	}
	for range maxConnsPerUser {
		l.leave(plain)
	}
	if _, ok := l.byUser[plain.uid]; ok {
		t.Error("a user without connections is remembered")
	}
}

func TestWireDurations(t *testing.T) {
	for d, want := range map[string]Seconds{"0": 0, "1": 1, "-5": -1, "1500000000": 2, "3600000000000": 3600} {
		n, err := strconv.ParseInt(d, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		if got := SecondsOf(time.Duration(n)); got != want {
			t.Errorf("SecondsOf(%s ns) = %d, want %d", d, got, want)
		}
	}
	if Seconds(math.MaxInt64).Duration() != math.MaxInt64 || Seconds(-1).Duration() >= 0 {
		t.Error("Duration overflows")
	}
}
