package decode

import (
	"bytes"
	"strings"
	"testing"
)

func TestParam(t *testing.T) {
	origin := `[origin@32473 uid="0" exe="/usr/sbin/sshd" pid="4711"]`
	for _, c := range []struct {
		name, sd, id, param string
		want                string
		ok                  bool
	}{
		{"first", origin, "origin@32473", "uid", "0", true},
		{"last", origin, "origin@32473", "pid", "4711", true},
		{"absent name", origin, "origin@32473", "gid", "", false},
		{"absent ID", origin, "origin", "uid", "", false},
		{"second element", `[a@1 uid="9"]` + origin, "origin@32473", "uid", "0", true},
		{"empty value", `[a x=""]`, "a", "x", "", true},
		{"escapes", `[a x="\"\\\]"]`, "a", "x", `"\]`, true},
		{"a backslash before another byte stays", `[a x="C:\dir\\"]`, "a", "x", `C:\dir\`, true},
		{"a value that looks like an element", `[a x="][origin@32473 uid=\"0\""]`, "origin@32473", "uid", "", false},
		{"a value that looks like an element, looked up", `[a x="] [b y=\"0\""][b y="1"]`, "b", "y", "1", true},
		{"a bracket in a value need not be escaped to be read", `[a x="[]"][b y="1"]`, "b", "y", "1", true},
		{"ID twice", `[a x="1"][a y="2"]`, "a", "x", "", false},
		{"name twice", `[a x="1" x="2"]`, "a", "x", "", false},
		{"name twice in another element", `[b x="1" x="2"][a x="3"]`, "a", "x", "3", true},
		{"broken behind the answer", `[a x="1"][b`, "a", "x", "", false},
		{"broken in front of the answer", `[b y=1][a x="1"]`, "a", "x", "", false},
		{"empty", "", "a", "x", "", false},
		{"text", "a x=1", "a", "x", "", false},
		{"ID without parameters", "[a][b]", "a", "x", "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, ok := Param([]byte(c.sd), c.id, c.param, []byte("dst:"))
			if string(got) != "dst:"+c.want || ok != c.ok {
				t.Errorf("got %q %v, want %q %v", got, ok, c.want, c.ok)
			}
		})
	}
}

func TestParamAllocatesNothing(t *testing.T) {
	sd := []byte(`[a@1 x="\"quoted\""][origin@32473 uid="0" exe="/usr/sbin/sshd" pid="4711"]`)
	dst := make([]byte, 0, 64)
	n := testing.AllocsPerRun(100, func() {
		if v, ok := Param(sd, "origin@32473", "exe", dst); !ok || len(v) == 0 {
			t.Error("not found")
		}
		_, _ = Param(sd, "a@1", "x", dst)
	})
	if n != 0 {
		t.Errorf("%v allocations, want 0", n)
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

// FuzzParam holds that a value survives writing and reading, that no value can open an element of
// another name, and that noise is never read as a parameter twice over.
func FuzzParam(f *testing.F) {
	f.Add([]byte("value"), []byte(`[a x="1"]`))
	f.Add([]byte(`"]\`), []byte(`[origin@1 uid="0"][origin@1 uid="1"]`))
	f.Add([]byte(`"][origin@1 uid="0`), []byte(`[a x="\"`))
	f.Add([]byte("\\"), []byte("[[]]"))
	f.Add([]byte(nil), []byte("[a x=\"\x00\"]"))
	f.Fuzz(func(t *testing.T, value, noise []byte) {
		sd := append([]byte(`[other@1 v="`), escape(value)...)
		sd = append(sd, `"][origin@1 uid="1000" v="`...)
		sd = append(sd, escape(value)...)
		sd = append(sd, `"]`...)
		if n, clean := checkSD(sd); n != len(sd) || !clean {
			t.Fatalf("%q: length %d of %d, clean %v", sd, n, len(sd), clean)
		}
		if got, ok := Param(sd, "origin@1", "v", nil); !ok || !bytes.Equal(got, value) {
			t.Fatalf("%q: got %q %v", sd, got, ok)
		}
		if got, ok := Param(sd, "origin@1", "uid", nil); !ok || string(got) != "1000" {
			t.Fatalf("%q: uid %q %v", sd, got, ok)
		}
		got, ok := Param(noise, "origin@1", "uid", nil)
		if ok {
			if n, _ := checkSD(noise); n != len(noise) || bytes.Count(noise, []byte("[origin@1")) < 1 {
				t.Fatalf("%q: found %q in structured data that is broken", noise, got)
			}
		}
		if _, twice := Param(append(append([]byte(nil), sd...), noise...), "origin@1", "uid", nil); twice && ok {
			t.Fatalf("%q twice: still an answer", noise)
		}
	})
}
