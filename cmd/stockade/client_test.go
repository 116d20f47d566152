package main

import (
	"slices"
	"testing"
)

func TestTheNameChoosesTheHabit(t *testing.T) {
	for _, c := range []struct{ argv, want []string }{
		{[]string{"/usr/bin/stockade", "status"}, []string{"status"}},
		{[]string{"/usr/bin/fail2ban-client", "status", "sshd"}, []string{"client", "status", "sshd"}},
		{[]string{"fail2ban-client"}, []string{"client"}},
		{nil, nil},
	} {
		if got := habit(c.argv); !slices.Equal(got, c.want) {
			t.Errorf("%q: arguments %q, want %q", c.argv, got, c.want)
		}
	}
}
