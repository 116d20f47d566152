package decode

import (
	"bytes"
	"strings"
	"testing"
)

func TestOrigin(t *testing.T) {
	const origin = `[origin@32473 uid="0" exe="/usr/sbin/sshd" pid="4711"]`
	const absent = "-"
	for _, c := range []struct{ name, sd, uid, exe string }{
		{"both", origin, "0", "/usr/sbin/sshd"},
		{"in another order", `[origin@32473 pid="1" exe="/bin/su" uid="1000"]`, "1000", "/bin/su"},
		{"uid alone", `[origin@32473 uid="7"]`, "7", absent},
		{"exe alone", `[origin@32473 exe="/bin/su"]`, absent, "/bin/su"},
		{"a name that begins alike", `[origin@32473 uid2="0" exec="x" ui="1"]`, absent, absent},
		{"an ID that begins alike", `[origin@324730 uid="0"][origin uid="1"][origin@3247 uid="2"]`, absent, absent},
		{"second element", `[a@1 uid="9" exe="/bin/no"]` + origin, "0", "/usr/sbin/sshd"},
		{"first element", origin + `[a@1 uid="9" exe="/bin/no"]`, "0", "/usr/sbin/sshd"},
		{"empty value", `[origin@32473 uid="" exe=""]`, "", ""},
		{"escapes", `[origin@32473 exe="\"\\\]" uid="\]"]`, `\]`, `"\]`},
		{"a uid stays as it was written", `[origin@32473 uid="\\1"]`, `\\1`, absent},
		{"a backslash before another byte stays", `[origin@32473 exe="C:\dir\\" uid="0"]`, "0", `C:\dir\`},
		{"a value that looks like an element", `[a x="][origin@32473 uid=\"0\""]`, absent, absent},
		{"a value that looks like an element, and one", `[a x="] [origin@32473 uid=\"0\""][origin@32473 uid="1"]`, "1", absent},
		{"a value that looks like a parameter", `[origin@32473 exe="x\" uid=\"0" pid="1"]`, absent, `x" uid="0`},
		{"a bracket in a value need not be escaped to be read", `[a x="[]"][origin@32473 uid="1"]`, "1", absent},
		{"ID twice", `[origin@32473 uid="1"][origin@32473 exe="2"]`, absent, absent},
		{"name twice", `[origin@32473 uid="1" exe="x" uid="2"]`, absent, "x"},
		{"name twice in another element", `[b uid="1" uid="2"][origin@32473 uid="3"]`, "3", absent},
		{"broken behind the answer", `[origin@32473 uid="1"][b`, absent, absent},
		{"broken in front of the answer", `[b y=1][origin@32473 uid="1"]`, absent, absent},
		{"the quote is escaped", `[origin@32473 uid="1\"]`, absent, absent},
		{"text behind it", origin + " text", absent, absent},
		{"empty", "", absent, absent},
		{"text", "origin@32473 uid=1", absent, absent},
		{"ID without parameters", "[origin@32473][b]", absent, absent},
		{"no ID", `[ uid="0"]`, absent, absent},
	} {
		t.Run(c.name, func(t *testing.T) {
			uid, exe := Origin([]byte(c.sd), []byte("dst:"))
			for _, v := range []struct {
				name string
				got  []byte
				want string
			}{{"uid", uid, c.uid}, {"exe", exe, c.exe}} {
				if (v.got == nil) != (v.want == absent) || v.got != nil && string(v.got) != v.want {
					t.Errorf("%s is %q, want %q", v.name, v.got, v.want)
				}
			}
		})
	}
}

func TestOriginAllocatesNothing(t *testing.T) {
	sd := []byte(`[a@1 x="\"quoted\""][origin@32473 uid="0" exe="/usr/\"sbin\"/sshd" pid="4711"]`)
	dst := make([]byte, 0, 64)
	n := testing.AllocsPerRun(100, func() {
		if uid, exe := Origin(sd, dst); len(uid) == 0 || len(exe) == 0 {
			t.Error("not found")
		}
	})
	if n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

// TestOriginLeavesItsInputAlone: values are cut to their length, so that appending to one writes
// neither over the structured data nor over the other.
func TestOriginLeavesItsInputAlone(t *testing.T) {
	for _, text := range []string{`[origin@32473 uid="1" exe="/bin/su" z="3"]`, `[origin@32473 uid="1" exe="\]/bin/su" z="3"]`} {
		sd := []byte(text)
		uid, exe := Origin(sd, make([]byte, 0, 64))
		_, _ = append(uid, "grown"...), append(exe, "grown"...)
		if string(sd) != text || !strings.HasSuffix(string(uid), "1") || !strings.HasSuffix(string(exe), "/bin/su") {
			t.Errorf("%q has become %q: uid %q, exe %q", text, sd, uid, exe)
		}
	}
}

func TestManyElementsAreMalformed(t *testing.T) {
	var sd strings.Builder
	for i := range maxElements + 1 {
		sd.WriteString("[" + strings.Repeat("a", i+1) + "]")
	}
	n, clean := checkSD([]byte(sd.String()))
	if n != sd.Len() || clean {
		t.Errorf("%d elements: length %d of %d, clean %v", maxElements+1, n, sd.Len(), clean)
	}
	n, clean = checkSD([]byte(sd.String()[:sd.Len()-maxElements-3]))
	if n == 0 || !clean {
		t.Errorf("%d elements: length %d, clean %v", maxElements, n, clean)
	}
}

// escape writes a PARAM-VALUE.
func escape(v []byte) []byte {
	var b []byte
	for _, c := range v {
		if c == '"' || c == '\\' || c == ']' {
			b = append(b, '\\')
		}
		b = append(b, c)
	}
	return b
}

// FuzzOriginValues holds that a value survives writing and reading, that no value can open an element
// of another name, and that noise is never read as an origin twice over.
func FuzzOriginValues(f *testing.F) {
	f.Add([]byte("value"), []byte(`[a x="1"]`))
	f.Add([]byte(`"]\`), []byte(`[origin@32473 uid="0"][origin@32473 uid="1"]`))
	f.Add([]byte(`"][origin@32473 uid="0`), []byte(`[a x="\"`))
	f.Add([]byte("\\"), []byte("[[]]"))
	f.Add([]byte(nil), []byte("[a x=\"\x00\"]"))
	f.Fuzz(func(t *testing.T, value, noise []byte) {
		sd := append([]byte(`[other@1 v="`), escape(value)...)
		sd = append(sd, `"][origin@32473 uid="1000" exe="`...)
		sd = append(sd, escape(value)...)
		sd = append(sd, `"]`...)
		if n, clean := checkSD(sd); n != len(sd) || !clean {
			t.Fatalf("%q: length %d of %d, clean %v", sd, n, len(sd), clean)
		}
		uid, exe := Origin(sd, nil)
		if exe == nil || !bytes.Equal(exe, value) {
			t.Fatalf("%q: got %q", sd, exe)
		}
		if string(uid) != "1000" {
			t.Fatalf("%q: uid %q", sd, uid)
		}
		got, _ := Origin(noise, nil)
		if got == nil {
			return
		}
		if n, _ := checkSD(noise); n != len(noise) || bytes.Count(noise, []byte("[origin@32473")) < 1 {
			t.Fatalf("%q: found %q in structured data that is broken", noise, got)
		}
		if twice, _ := Origin(append(sd, noise...), nil); twice != nil {
			t.Fatalf("%q twice: still an answer", noise)
		}
	})
}
