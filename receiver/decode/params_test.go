package decode

import (
	"bytes"
	"testing"
)

// FuzzParams: two parameters at once are what each is alone.
func FuzzParams(f *testing.F) {
	for _, sd := range []string{
		`[origin@32473 uid="0" exe="/usr/sbin/sshd" pid="7"]`, `[a@1 x="1"][origin@32473 exe="a\"b\]" uid=""]`,
		`[origin@32473 uid="0" uid="1" exe="x"]`, `[origin@32473 uid="0"][origin@32473 exe="x"]`, `[origin@32473 uid="0`, ``,
	} {
		f.Add([]byte(sd))
	}
	f.Fuzz(func(t *testing.T, sd []byte) {
		var scratch [64]byte
		a, b := Params(sd, "origin@32473", "uid", "exe", scratch[:0])
		for _, one := range []struct {
			name string
			got  []byte
		}{{"uid", a}, {"exe", b}} {
			want, ok := Param(sd, "origin@32473", one.name, []byte{})
			if ok != (one.got != nil) || ok && !bytes.Equal(want, one.got) {
				t.Errorf("%s of %q is %q, alone %q, %t", one.name, sd, one.got, want, ok)
			}
		}
	})
}
