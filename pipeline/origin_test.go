package pipeline

import (
	"testing"

	"stockade/jails"
	"stockade/receiver"
)

// TestDemandedOrigin: each demand of a jail is met, not met, or unknown.
func TestDemandedOrigin(t *testing.T) {
	bind := func(o jails.OriginConfig) *Bound {
		j, err := jails.New(jails.Defaults(), jails.Config{Name: "j", Filter: jails.FilterConfig{FailRegex: []string{"^<HOST>$"}}, Origin: &o}, nil)
		if err != nil {
			t.Fatal(err)
		}
		b := &Bound{Jail: j}
		b.demand()
		return b
	}
	uids := []uint32{0, 33}
	exe := bind(jails.OriginConfig{UID: uids, Exe: "/usr/{sbin,lib/openssh}/sshd*"})
	unit := bind(jails.OriginConfig{UID: uids, Unit: "ssh.service"})
	both := bind(jails.OriginConfig{UID: uids, Unit: "ssh.service", Exe: "/usr/sbin/sshd"})
	odd := bind(jails.OriginConfig{UID: uids, Exe: "/usr/{sbin/sshd,bin/dropbear}"})
	for _, c := range []struct {
		name   string
		jail   *Bound
		origin receiver.Origin
		want   string
	}{
		{"the program", exe, receiver.Origin{Known: true, Exe: "/usr/sbin/sshd"}, ""},
		{"its other form", exe, receiver.Origin{Known: true, UID: 33, Exe: "/usr/lib/openssh/sshd-session"}, ""},
		{"another program", exe, receiver.Origin{Known: true, Exe: "/usr/bin/logger"}, refusedForged},
		{"another user", exe, receiver.Origin{Known: true, UID: 7, Exe: "/usr/sbin/sshd"}, refusedForged},
		{"nobody knows", exe, receiver.Origin{}, refusedUnknown},
		{"root's program is unknown", exe, receiver.Origin{Known: true}, refusedUnknown},
		{"a user's program is unknown", exe, receiver.Origin{Known: true, UID: 33}, refusedUnknown},
		{"root's process has ended and kept its name", exe, receiver.Origin{Known: true, Name: "sshd-session"}, ""},
		{"root's process has ended, another name", exe, receiver.Origin{Known: true, Name: "logger"}, refusedForged},
		{"a user's process chose that name", exe, receiver.Origin{Known: true, UID: 33, Name: "sshd"}, refusedUnknown},
		{"a name is no path", exe, receiver.Origin{Known: true, Exe: "sshd"}, refusedForged},

		{"the unit", unit, receiver.Origin{Known: true, Unit: "ssh.service"}, ""},
		{"another unit", unit, receiver.Origin{Known: true, Unit: "cron.service"}, refusedForged},
		{"root's unit is unknown", unit, receiver.Origin{Known: true}, ""},
		{"a user's unit is unknown", unit, receiver.Origin{Known: true, UID: 33}, refusedUnknown},

		{"the program in another unit", both, receiver.Origin{Known: true, Exe: "/usr/sbin/sshd", Unit: "cron.service"}, refusedForged},
		{"another program in the unit", both, receiver.Origin{Known: true, Exe: "/usr/bin/logger", Unit: "ssh.service"}, refusedForged},
		{"the program, the unit unknown", both, receiver.Origin{Known: true, Exe: "/usr/sbin/sshd"}, ""},
		{"the unit, the program unknown", both, receiver.Origin{Known: true, Unit: "ssh.service"}, refusedUnknown},

		{"a glob whose end is no glob", odd, receiver.Origin{Known: true, Exe: "/usr/bin/dropbear"}, ""},
		{"and of a process that has ended", odd, receiver.Origin{Known: true, Name: "dropbear"}, refusedForged},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := forged(c.jail, &item{level: receiver.LevelKernel}, &c.origin); got != c.want {
				t.Errorf("refused for %q, want %q", got, c.want)
			}
		})
	}
}
