package control

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func FuzzBanRequest(f *testing.F) {
	for _, s := range []string{
		`{"address":"192.0.2.7"}`, `{"address":"2001:db8::/32","for":-1,"jail":"sshd","reason":"x","force":true}`,
		`{"address":"::ffff:10.0.0.0/96","session":"10.1.2.3"}`, `{"address":null}`, `{"address":""}`, `{}`, `[]`, `null`,
		`{"address":"192.0.2.7"}{}`, `{"for":9223372036854775807}`, `{"for":1e3}`, `{"address":"fe80::1%eth0"}`, `{"address":"0.0.0.0/0"}`,
		"{\"reason\":\"\xff\"}", `{"session":"fe80::1%eth0","address":"fe80::/10"}`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, body string) {
		r, err := decodeJSON[BanRequest](strings.NewReader(body))
		if err != nil {
			return
		}
		doc, err := Marshal(r, "")
		if err != nil {
			t.Fatalf("%q: decoded, but not encoded: %v", body, err)
		}
		again, err := decodeJSON[BanRequest](strings.NewReader(string(doc)))
		if err != nil || !reflect.DeepEqual(again, r) {
			t.Fatalf("%q: round trip gives %+v, want %+v: %v", body, again, r, err)
		}
		if r.check() != nil {
			return
		}
		p := r.Address.Prefix
		if !p.IsValid() || p != p.Masked() || p.Addr().Is4In6() || p.Addr().Zone() != "" {
			t.Fatalf("%q: accepted prefix %s", body, p)
		}
		if !r.Force && (p.Addr().Is4() && p.Bits() < 16 || p.Addr().Is6() && p.Bits() < 32) {
			t.Fatalf("%q: accepted width %s", body, p)
		}
		if r.Session.IsValid() && p.Contains(r.Session.Unmap().WithZone("")) {
			t.Fatalf("%q: locks %s out", body, r.Session)
		}
	})
}

func FuzzUnbanRequest(f *testing.F) {
	for _, s := range []string{
		`{"all":true}`, `{"address":"192.0.2.7"}`, `{"source":"web1","since":"2026-11-24T10:00:00+01:00"}`, `{}`,
		`{"since":"yesterday"}`, `{"all":true,"address":"192.0.2.7"}`, `{"source":"` + strings.Repeat("x", 65) + `"}`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, body string) {
		r, err := decodeJSON[UnbanRequest](strings.NewReader(body))
		if err != nil || r.check() != nil {
			return
		}
		doc, err := Marshal(r, "")
		if err != nil {
			return // a year that RFC 3339 cannot write
		}
		again, err := decodeJSON[UnbanRequest](strings.NewReader(string(doc)))
		if err != nil || again.check() != nil {
			t.Fatalf("%q: %s is not accepted again: %v", body, doc, err)
		}
	})
}

func FuzzTarget(f *testing.F) {
	for _, s := range []string{"192.0.2.7", "192.0.2.0/24", "2001:db8::1", "2001:db8::/64", "::ffff:1.2.3.4", "::ffff:1.2.3.4/100", "1.2.3.4/33", "%", "/", "::/0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		target, err := ParseTarget(s)
		if err != nil {
			if len(err.Error()) > 1000 {
				t.Fatalf("%q: error of %d bytes", s, len(err.Error()))
			}
			return
		}
		again, err := ParseTarget(target.String())
		if err != nil || again != target {
			t.Fatalf("%q: %v read again is %v: %v", s, target, again, err)
		}
		if c := target.Counted(64); !c.Contains(target.Prefix.Addr()) {
			t.Fatalf("%q: counted as %s", s, c)
		}
	})
}

func FuzzMarshal(f *testing.F) {
	for _, s := range []string{"plain", "\x1b[2J", "\u009b31m", "\u202e", "\xff\xfe", "é \u2028", "\U000e0001", "\"\\", "\ufffd", "<script>"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		doc, err := Marshal(Evidence{Raw: s}, "  ")
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range string(doc) {
			if r != '\n' && !unicode.IsPrint(r) || r == utf8.RuneError {
				t.Fatalf("%q: raw %U at %d of %s", s, r, i, doc)
			}
		}
		var back Evidence
		if err := json.Unmarshal(doc, &back); err != nil || back.Raw != strings.ToValidUTF8(s, "\ufffd") && utf8.ValidString(s) {
			t.Fatalf("%q came back as %q: %v", s, back.Raw, err)
		}
		for _, r := range Escape(s) {
			if !unicode.IsPrint(r) {
				t.Fatalf("%q: escaped text holds %U", s, r)
			}
		}
	})
}

func TestTarget(t *testing.T) {
	for s, want := range map[string]string{
		"192.0.2.7":            "192.0.2.7/32",
		"::ffff:192.0.2.7":     "192.0.2.7/32",
		"2001:db8::7":          "2001:db8::/64",
		"2001:db8::7/128":      "2001:db8::7/128",
		"2001:db8::/48":        "2001:db8::/48",
		"::ffff:192.0.2.0/120": "192.0.2.0/24",
	} {
		target, err := ParseTarget(s)
		if err != nil || target.Counted(64) != netip.MustParsePrefix(want) {
			t.Errorf("%s is counted as %s (%v), want %s", s, target.Counted(64), err, want)
		}
	}
	if target, _ := ParseTarget("2001:db8::7"); target.Counted(200) != target.Prefix {
		t.Error("an impossible length is not ignored")
	}
}
