package decode

import (
	"bytes"
	"testing"
)

// FuzzOrigin: what Origin and checkSD read is what a plain reader of the grammar (RFC 5424 section 6.3)
// reads byte by byte.
func FuzzOrigin(f *testing.F) {
	for _, sd := range []string{
		`[origin@32473 uid="0" exe="/usr/sbin/sshd" pid="7"]`, `[a@1 x="1"][origin@32473 exe="a\"b\]" uid=""]`,
		`[origin@32473 uid="0" uid="1" exe="x"]`, `[origin@32473 uid="0"][origin@32473 exe="x"]`, `[origin@32473 uid="0`, ``,
		`[origin@32473 exe="\\\\" uid="\\\""]`, `[origin@32473 exe="\`, `[origin@32473 uid="1"] x`, `[origin@32473 uid="\a\\"] [`,
		`[a][origin@32473 uid=""]`,
	} {
		f.Add([]byte(sd))
	}
	f.Fuzz(func(t *testing.T, sd []byte) {
		before := bytes.Clone(sd)
		plain, length := readPlainly(sd)
		if n, _ := checkSD(sd); n != length {
			t.Errorf("length of %q is %d, byte by byte %d", sd, n, length)
		}
		var scratch [64]byte
		uid, exe := Origin(sd, scratch[:0])
		plainUID, plainExe := plain.param("uid"), plain.param("exe")
		if (plainUID.written == nil) != (uid == nil) || !bytes.Equal(plainUID.written, uid) {
			t.Errorf("uid of %q is %q, byte by byte %q", sd, uid, plainUID.written)
		}
		if (plainExe.value == nil) != (exe == nil) || !bytes.Equal(plainExe.value, exe) {
			t.Errorf("exe of %q is %q, byte by byte %q", sd, exe, plainExe.value)
		}
		if !bytes.Equal(sd, before) {
			t.Errorf("%q has become %q", before, sd)
		}
	})
}

// plainElement is an element of structured data, its parameters in their order and unescaped.
type plainElement struct {
	id     string
	params []plainParam
}

type plainParam struct {
	name           string
	written, value []byte // with escapes and without; never nil
}

// plainData is structured data; nil when it is broken or something follows it.
type plainData []plainElement

// param is the parameter that is there once, in the one element of an origin, or the zero value.
func (d plainData) param(name string) plainParam {
	var found []plainParam
	elements := 0
	for _, e := range d {
		if e.id != "origin@32473" {
			continue
		}
		elements++
		for _, p := range e.params {
			if p.name == name {
				found = append(found, p)
			}
		}
	}
	if elements != 1 || len(found) != 1 {
		return plainParam{}
	}
	return found[0]
}

// readPlainly reads what b begins with, and how long that is: 0 when it is broken or followed by
// anything but a space.
func readPlainly(b []byte) (d plainData, length int) {
	r := plainReader{b}
	for r.at('[') {
		e, ok := r.element()
		if !ok {
			return nil, 0
		}
		d = append(d, e)
	}
	if len(r.b) == 0 {
		return d, len(b)
	}
	if !r.at(' ') {
		return nil, 0
	}
	return nil, len(b) - len(r.b)
}

// plainReader takes one byte after the other from b.
type plainReader struct{ b []byte }

func (r *plainReader) at(c byte) bool { return len(r.b) > 0 && r.b[0] == c }

func (r *plainReader) take() byte {
	c := r.b[0]
	r.b = r.b[1:]
	return c
}

func (r *plainReader) word() string {
	var w []byte
	for len(r.b) > 0 && r.b[0] > ' ' && !r.at('=') && !r.at(']') && !r.at('"') {
		w = append(w, r.take())
	}
	return string(w)
}

func (r *plainReader) element() (e plainElement, ok bool) {
	r.take()
	if e.id = r.word(); e.id == "" {
		return e, false
	}
	for r.at(' ') {
		r.take()
		p := plainParam{name: r.word(), written: []byte{}, value: []byte{}}
		if p.name == "" || !bytes.HasPrefix(r.b, []byte(`="`)) {
			return e, false
		}
		r.take()
		r.take()
		for !r.at('"') {
			if len(r.b) < 2 {
				return e, false
			}
			if r.at('\\') {
				p.written = append(p.written, r.take())
				if !r.at('"') && !r.at('\\') && !r.at(']') {
					p.value = append(p.value, '\\')
				}
			}
			c := r.take()
			p.written, p.value = append(p.written, c), append(p.value, c)
		}
		r.take()
		e.params = append(e.params, p)
	}
	if !r.at(']') {
		return e, false
	}
	r.take()
	return e, true
}
